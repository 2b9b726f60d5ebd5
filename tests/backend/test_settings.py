"""Settings: what the environment says, and how a wrong value is told."""

from __future__ import annotations

import pytest

from prelabel.settings import (
    SettingsError,
    load_settings,
    unknown_variables,
)

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
