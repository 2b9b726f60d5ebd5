"""Settings: what the environment says, and how a wrong value is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from prelabel.settings import (
    Settings,
    SettingsError,
    as_environment,
    load_settings,
    unknown_variables,
)
from prelabel.training.fine_tuning import fine_tuning_settings

pytestmark = pytest.mark.usefixtures("bare_environment")


def test_the_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert (settings.port, settings.workers, settings.host) == (9090, 1, "127.0.0.1")
    assert settings.prelabel_home.is_absolute()
    assert settings.database_url == f"sqlite:///{settings.prelabel_home}/prelabel.sqlite3"
    assert settings.inference_threads >= 1
    assert settings.network_settings == {}


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://labels.example/studio/")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret-token")
    monkeypatch.setenv("PRELABEL_ALLOWED_HOSTS", "images.example, CDN.example,")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("PRELABEL_MIN_SIZE", "224")
    monkeypatch.setenv("PRELABEL_PROPOSALS", "30")
    settings = load_settings()
    assert settings.label_studio_url == "https://labels.example/studio"
    assert settings.prelabel_allowed_hosts == ("images.example", "cdn.example")
    assert settings.log_level == "DEBUG"
    assert settings.network_settings == {"min_size": 224, "post_nms_proposals_test": 30}
    assert "secret-token" not in repr(settings)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "")
    settings = load_settings()
    assert settings.port == 9090
    assert settings.label_studio_api_key is None


def test_an_override_goes_before_the_environment_and_none_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert load_settings(port=4321).port == 4321
    assert load_settings(port=None).port == 1234


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "99999", "PORT is '99999' but must be less than or equal to 65535"),
        ("THREADS", "many", "THREADS is 'many' but must be a valid integer"),
        ("DEVICE", "tpu", "DEVICE is 'tpu' but must look like cpu or cuda or cuda:0 or mps"),
        (
            "LABEL_STUDIO_URL",
            "labels.example",
            "LABEL_STUDIO_URL is 'labels.example' but must look like http://localhost:8080",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD' but must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("MODEL_SCORE_THRESHOLD", "30", "MODEL_SCORE_THRESHOLD is '30' but must be less than or equal to 1"),
        ("BASIC_AUTH_USER", "ann", "BASIC_AUTH_USER and BASIC_AUTH_PASS must both be set, or neither"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == said


def test_sizes_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(SettingsError, match="PRELABEL_MIN_SIZE must not be larger than PRELABEL_MAX_SIZE"):
        load_settings(prelabel_min_size=800, prelabel_max_size=320)


def test_a_wrong_database_url_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_DATABASE_URL", "postgres//user:hunter2@host")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("PRELABEL_DATABASE_URL must look like sqlite://")


def test_a_misspelt_variable_is_named_with_the_closest_one() -> None:
    environ = {"PRELABEL_WEIGTHS": "coco", "PRELABEL_HOME": "/data", "HOME": "/root"}
    assert unknown_variables(environ) == [
        "PRELABEL_WEIGTHS is not a setting of prelabel and is ignored; the closest one is PRELABEL_WEIGHTS"
    ]


#: Values of fields whose text has a form that their type does not tell.
FORMED = {
    "label_studio_url": "https://labels.example:8443/studio",
    "prelabel_label_studio_headers": SecretStr('{"Authorization": "Basic dTpwLCA=", "X-Key": "a \'b\' = c"}'),
    "device": "cuda:1",
    "prelabel_database_url": "postgresql+psycopg://user:p%2Css, 'w=ord@host/name?application_name=a b",
    "prelabel_queue_url": SecretStr("rediss://:p,a ss@host:6379/0"),
    "prelabel_label_studio_public_url": "https://labels.example/studio",
    "prelabel_console_hosts": ("labels.example", "prelabel.example"),
    "prelabel_allowed_hosts": ("images.example", "cdn.example:8443"),
    "prelabel_anchor_sizes": (8.0, 16.5, 1e-05, 100.125, 512.0),
}

#: What must be set with it.
TOGETHER = {
    "basic_auth_user": ("basic_auth_pass",),
    "basic_auth_pass": ("basic_auth_user",),
}


def another_value(name: str) -> Any:
    """One that the field may have and does not have by itself."""
    field = Settings.model_fields[name]
    return FORMED[name] if name in FORMED else _of_type(field.annotation, field)


def _of_type(kind: Any, field: FieldInfo) -> Any:
    if get_origin(kind) in (Union, UnionType):
        return _of_type(next(one for one in get_args(kind) if one is not type(None)), field)
    if get_origin(kind) is Annotated:
        return _of_type(get_args(kind)[0], field)
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != field.default)
    if kind is bool:
        return not field.default
    if kind in (int, float):
        return kind(_number(field)) if kind is int else _number(field) + 0.0625
    values = {
        str: "a 'quoted', text = ü",
        SecretStr: SecretStr(" s3cret, with = and \"'ü"),
        Path: Path("/a b/c, d=ü"),
    }
    return values[kind]


def _number(field: FieldInfo) -> float:
    bounds = [getattr(rule, name) for rule in field.metadata for name in ("ge", "gt") if hasattr(rule, name)]
    least = max(bounds, default=0)
    return next(number for number in (least, least + 1) if number != field.default)


def read_back(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_another_process_gets_every_setting_as_it_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    chosen = {one: another_value(one) for one in (name, *TOGETHER.get(name, ()))}
    settings = load_settings(**chosen)
    assert getattr(settings, name) == chosen[name] != getattr(load_settings(), name)
    assert read_back(monkeypatch, settings).model_dump() == settings.model_dump()


def test_another_process_gets_all_settings_together(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(**{name: another_value(name) for name in Settings.model_fields})
    assert read_back(monkeypatch, settings).model_dump() == settings.model_dump()


def test_settings_of_the_environment_pass_through_processes_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in as_environment(
        load_settings(**{name: another_value(name) for name in Settings.model_fields})
    ).items():
        monkeypatch.setenv(name, value)
    code = "from prelabel.settings import load_settings; print(sorted(load_settings().model_dump().items()))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(sorted(load_settings().model_dump().items()))


def test_a_setting_that_is_taken_back_is_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(prelabel_anchor_sizes=None, prelabel_allowed_hosts=())
    for name, value in (("PRELABEL_ANCHOR_SIZES", "8,16"), ("PRELABEL_ALLOWED_HOSTS", "images.example")):
        monkeypatch.setenv(name, value)
    again = read_back(monkeypatch, settings)
    assert (again.prelabel_anchor_sizes, again.prelabel_allowed_hosts) == (None, ())


@pytest.mark.parametrize("text", ["8, 16 ,32", "8,16,32,", " 8,16,,32"])
def test_anchor_sizes_are_read_with_spaces_and_a_comma_too_many(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PRELABEL_ANCHOR_SIZES", text)
    assert load_settings().prelabel_anchor_sizes == (8.0, 16.0, 32.0)


@pytest.mark.parametrize("text", ["8,large", "8,-1", "0", "nan", "inf", "[8, 16]"])
def test_anchor_sizes_that_are_none_are_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PRELABEL_ANCHOR_SIZES", text)
    with pytest.raises(SettingsError, match=r"^PRELABEL_ANCHOR_SIZES is .* but must"):
        load_settings()


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "float" in str(field)]
)
@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_no_number_is_endless(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name.upper(), text)
    with pytest.raises(SettingsError, match=f"^{name.upper()} is '.*' but must be "):
        load_settings()


def test_more_cores_than_a_training_run_may_have_are_no_error(
    bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prelabel.settings.training.usable_cores", lambda: 768)
    settings = load_settings()
    assert settings.training_threads == 256
    fine_tuning_settings(settings, 7).check()
