"""Settings of a project's own: what may be set, what holds then, and that triggers and runs follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Serving
from typer.testing import CliRunner

from prelabel.cli import app
from prelabel.errors import PrelabelError
from prelabel.overview.projects import project_overview
from prelabel.overview.settings import setting_overviews
from prelabel.settings import Settings, environment_name, load_settings
from prelabel.store.database import Database
from prelabel.store.project_settings import CHANGEABLE, project_settings, set_project_setting
from prelabel.store.run_progress import claim, request_run
from prelabel.store.runs import list_runs
from prelabel.worker.run_process import run_process

GOOD = {
    "prelabel_train_every": ("20", 20),
    "prelabel_train_growth": ("1.5", 1.5),
    "prelabel_train_min_labels": ("7", 7),
    "prelabel_train_interval": ("24", 24.0),
    "prelabel_frozen_stages": ("0", 0),
    "prelabel_train_epochs": ("2.5", 2.5),
    "prelabel_learning_rate": ("0.001", 0.001),
    "prelabel_train_min_size": ("256", 256),
    "prelabel_train_max_size": ("384", 384),
    "prelabel_strategy": ("none", "none"),
    "prelabel_random_share": ("0.25", 0.25),
}


@pytest.fixture
def settings(bare_environment: None, tmp_path: Path) -> Settings:
    return load_settings(prelabel_home=tmp_path)


def created(number: int, project: int) -> dict[str, Any]:
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": number, "was_cancelled": False},
        "project": {"id": project, "num_tasks_with_annotations": 20},
    }


def test_every_one_that_may_be_set_holds_for_its_project_alone(
    settings: Settings, database: Database
) -> None:
    assert set(GOOD) == set(CHANGEABLE)
    for name, (text, _) in GOOD.items():
        set_project_setting(database, 7, environment_name(name), text, "ann")
    held = project_settings(settings, database, 7)
    assert {name: getattr(held, name) for name in GOOD} == {name: value for name, (_, value) in GOOD.items()}
    assert held.prelabel_home == settings.prelabel_home
    assert project_settings(settings, database, 8) == settings
    for name in GOOD:
        set_project_setting(database, 7, name, None, "ann")
    assert project_settings(settings, database, 7) == settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "9", "cannot be set for a project"),
        ("PRELABEL_DATABASE_URL", "sqlite:///x", "cannot be set for a project"),
        ("PRELABEL_NOTHING", "9", "cannot be set for a project"),
        ("PRELABEL_TRAIN_EVERY", "-1", "PRELABEL_TRAIN_EVERY"),
        ("PRELABEL_STRATEGY", "best", "PRELABEL_STRATEGY"),
        ("PRELABEL_RANDOM_SHARE", "nan", "PRELABEL_RANDOM_SHARE"),
        ("PRELABEL_FROZEN_STAGES", "two", "PRELABEL_FROZEN_STAGES"),
    ],
)
def test_what_cannot_hold_is_refused(
    settings: Settings, database: Database, name: str, value: str, said: str
) -> None:
    with pytest.raises(PrelabelError, match=said):
        set_project_setting(database, 7, name, value, "ann")
    assert project_settings(settings, database, 7) == settings


def test_two_that_cannot_be_together_are_refused(settings: Settings, database: Database) -> None:
    set_project_setting(database, 7, "PRELABEL_TRAIN_MAX_SIZE", "300", "ann")
    with pytest.raises(PrelabelError, match=r"(?i)size"):
        set_project_setting(database, 7, "PRELABEL_TRAIN_MIN_SIZE", "400", "ann")


def test_the_environment_may_have_changed_meanwhile(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_project_setting(database, 7, "PRELABEL_TRAIN_MAX_SIZE", "300", "ann")
    monkeypatch.setenv("PRELABEL_TRAIN_MIN_SIZE", "512")
    now = load_settings(prelabel_home=settings.prelabel_home)
    assert project_settings(now, database, 7) == now
    assert "do not hold" in caplog.text


def test_a_value_that_the_command_line_gave_stays(
    database: Database, bare_environment: None, tmp_path: Path
) -> None:
    given = load_settings(prelabel_home=tmp_path, port=9999, prelabel_train_epochs=3.0)
    set_project_setting(database, 7, "PRELABEL_TRAIN_EVERY", "5", "ann")
    held = project_settings(given, database, 7)
    assert (held.port, held.prelabel_train_epochs, held.prelabel_train_every) == (9999, 3.0, 5)


def test_labels_start_runs_by_them(
    serve: Callable[..., Serving], load: Callable[[], Any], database: Database
) -> None:
    client = serve(load, prelabel_train_every=0).client
    set_project_setting(database, 7, "PRELABEL_TRAIN_EVERY", "2", "ann")
    for number in range(2):
        for project in (7, 8):
            client.post("/webhook", json=created(number, project))
    assert [(run.project_id, run.requested_by) for run in list_runs(database)] == [(7, "2 new labels")]


def test_a_run_trains_with_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prelabel.worker.run_process.end_with_parent", lambda: None)
    monkeypatch.setattr("prelabel.worker.run_process.dictConfig", lambda _: None)
    monkeypatch.setenv("PRELABEL_TRAINING_NICE", "0")
    monkeypatch.setenv("PRELABEL_HOME", str(settings.prelabel_home))
    database = Database.open(settings.database_url)
    set_project_setting(database, 7, "PRELABEL_FROZEN_STAGES", "1", "ann")
    run = request_run(database, 7, "a test")
    claim(database, run.id)
    seen = []

    class Noticed(Exception):
        """Enough was seen."""

    def steps(held: Settings, *_: object) -> Any:
        seen.append(held.hyper_parameters["frozen_stages"])
        raise Noticed

    with pytest.raises(Noticed):
        run_process(run.id, steps)
    assert seen == [1]


def test_the_overview_follows(settings: Settings, database: Database) -> None:
    assert project_overview(settings, database, 7).next_run == 3
    set_project_setting(database, 7, "PRELABEL_TRAIN_MIN_LABELS", "9", "ann")
    assert project_overview(settings, database, 7).next_run == 9
    sources = {one.variable: (one.value, one.source) for one in setting_overviews(settings, database, 7)}
    assert sources["PRELABEL_TRAIN_MIN_LABELS"] == ("9", "this project")
    assert sources["PRELABEL_TRAIN_EVERY"] == ("", "default")
    given = load_settings(prelabel_home=settings.prelabel_home, prelabel_strategy="margin")
    sources = {one.variable: (one.value, one.source) for one in setting_overviews(given, database, 7)}
    assert sources["PRELABEL_STRATEGY"] == ("margin", "environment")


def test_the_commands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_HOME", str(settings.prelabel_home))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["settings", *arguments])

    assert run("set", "--project", "7", "prelabel_train_every", "5").exit_code == 0
    shown = run("show", "--project", "7").output
    assert [line.split() for line in shown.splitlines() if "TRAIN_EVERY" in line] == [
        ["PRELABEL_TRAIN_EVERY", "5", "this", "project"]
    ]
    assert run("unset", "--project", "7", "PRELABEL_TRAIN_EVERY").exit_code == 0
    assert "this project" not in run("show", "--project", "7").output
    wrong = run("set", "--project", "7", "PRELABEL_TRAIN_EVERY", "often")
    assert wrong.exit_code == 1 and "PRELABEL_TRAIN_EVERY is 'often' but must be" in wrong.output
