"""How projects stand, told from the store alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner
from version_samples import JUDGEMENT, store_version

from prelabel.cli import app
from prelabel.overview.projects import project_overview, project_overviews
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.store.events import record_event
from prelabel.store.label_counts import note_project
from prelabel.store.promotions import add_promotion
from prelabel.store.run_progress import claim, finish, note_labels, request_run
from prelabel.store.runs import RunState
from prelabel.store.version_details import VersionJudgement
from prelabel.store.version_figures import version_figures
from prelabel.store.versions import VersionState


@pytest.fixture
def settings(bare_environment: None, tmp_path: Path) -> Settings:
    return load_settings(prelabel_home=tmp_path / "home")


def labelled(database: Database, project_id: int, count: int) -> None:
    """So many labels are submitted."""
    for number in range(count):
        payload = {
            "action": "ANNOTATION_CREATED",
            "project": {"id": project_id},
            "annotation": {"id": number},
        }
        record_event(database, json.dumps([project_id, number]), payload)


def trained(
    settings: Settings, database: Database, accepted: int, *, promoted: bool = True, share: float = 0.5
) -> str:
    """A run that has read so many labels, with its version."""
    run = request_run(database, 7, "labels")
    claim(database, run.id)
    note_labels(database, run.id, accepted)
    judged = VersionJudgement(replace(JUDGEMENT, no_edit_share=share), replace(JUDGEMENT, no_edit_share=0.1))
    version = store_version(settings, database, run.id, judgement=judged, promoted=promoted)
    if promoted:
        add_promotion(database, 7, version, "better")
    finish(database, run.id, RunState.PROMOTED if promoted else RunState.REJECTED, "why", version.name)
    return version.name


class TestOverview:
    def test_one_that_was_only_heard_of(self, settings: Settings, database: Database):
        note_project(database, 7)
        [one] = project_overviews(settings, database)
        assert (one.answers, one.new_labels, one.next_run, one.no_edit_share) == ("base weights", 0, 3, None)
        assert one.next_run_in_words == "after 3 more labels"

    @pytest.mark.parametrize(("labels", "left"), [(1, 2), (2, 1), (3, 1), (30, 1)])
    def test_labels_until_the_first_run(self, settings: Settings, database: Database, labels: int, left: int):
        labelled(database, 7, labels)
        one = project_overview(settings, database, 7)
        assert (one.new_labels, one.next_run) == (labels, left)

    def test_labels_until_the_next_run_grow(self, settings: Settings, database: Database):
        labelled(database, 7, 10)
        trained(settings, database, 10)
        one = project_overview(settings, database, 7)
        assert (one.new_labels, one.next_run) == (0, 5), "half of ten"
        labelled(database, 8, 1)
        assert [two.next_run for two in project_overviews(settings, database)] == [5, 2]

    @pytest.mark.parametrize(("every", "left"), [(20, 20), (0, None)])
    def test_labels_that_are_counted(
        self, settings: Settings, database: Database, every: int, left: int | None
    ):
        chosen = settings.model_copy(update={"prelabel_train_every": every})
        one = project_overview(chosen, database, 7)
        assert one.next_run == left
        assert one.next_run_in_words == ("after 20 more labels" if left else "by hand only")

    @pytest.mark.parametrize(
        ("chosen", "tried", "left"),
        [({"prelabel_train_every": 10}, 12, 8), ({}, 12, 6), ({"prelabel_train_every": 10}, 3, 7)],
        ids=["counted", "by growth", "counted, a few"],
    )
    def test_after_a_failure_they_are_counted_as_the_triggers_do(
        self, settings: Settings, database: Database, chosen: dict[str, int], tried: int, left: int
    ):
        labelled(database, 7, tried)
        run = request_run(database, 7, "labels")
        claim(database, run.id)
        note_labels(database, run.id, tried)
        finish(database, run.id, RunState.FAILED, "Label Studio is away.")
        assert project_overview(settings.model_copy(update=chosen), database, 7).next_run == left

    def test_time_starts_one_too(self, settings: Settings, database: Database):
        chosen = settings.model_copy(update={"prelabel_train_every": 0, "prelabel_train_interval": 24.0})
        assert project_overview(chosen, database, 7).next_run_in_words == "by the timer"

    def test_a_run(self, settings: Settings, database: Database):
        labelled(database, 7, 3)
        run = request_run(database, 7, "labels")
        one = project_overview(settings, database, 7)
        assert [queued.id for queued in one.runs] == [run.id] and one.next_run_in_words == "about to start"
        claim(database, run.id)
        assert project_overview(settings, database, 7).next_run_in_words == "running"

    def test_what_serves(self, settings: Settings, database: Database):
        first = trained(settings, database, 3, share=0.4)
        second = trained(settings, database, 5, share=0.6)
        trained(settings, database, 8, promoted=False)
        one = project_overview(settings, database, 7)
        assert (one.answers, one.no_edit_share) == (second, 0.6)
        assert [version.name for version in one.promoted] == [first, second]


class TestVersionFigures:
    def test_those_of_a_version_and_of_what_served(self, settings: Settings, database: Database):
        trained(settings, database, 3)
        trained(settings, database, 5)
        trained(settings, database, 8, promoted=False, share=0.2)
        found = version_figures(database, 7)
        assert [one.state for one in found] == [
            VersionState.RETIRED,
            VersionState.SERVING,
            VersionState.REJECTED,
        ]
        assert [one.labelled for one in found] == [3, 5, 8]
        last = found[-1]
        assert (last.judged.images, last.judged.no_edit_share) == (12, 0.2)
        assert (last.judged.box_AP50, last.judged.mask_AP50) == (0.8125, None)

    def test_a_version_without_figures(self, settings: Settings, database: Database):
        store_version(settings, database, None, judgement=VersionJudgement())
        [one] = version_figures(database)
        assert (one.judged.images, one.judged.box_AP50, one.labelled) == (None, None, None)

    @pytest.mark.parametrize("project", [7, None])
    def test_on_each_kind_of_database(self, settings: Settings, url: str, project: int | None):
        database = Database.open(url)
        trained(settings, database, 3)
        assert [one.judged.no_edit_share for one in version_figures(database, project)] == [0.5]
        assert version_figures(database, 8) == []
        database.close()


class TestCommand:
    def test_json_and_table(self, settings: Settings, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PRELABEL_HOME", str(settings.prelabel_home))
        assert "No project is known" in CliRunner().invoke(app, ["projects", "list"]).output
        database = Database.open(settings.database_url)
        labelled(database, 7, 2)
        listed = json.loads(CliRunner().invoke(app, ["projects", "list", "--json"]).stdout)
        assert listed == [
            {
                "project": 7,
                "answers": "base weights",
                "new_labels": 2,
                "labels_until_next_run": 1,
                "runs": [],
                "no_edit_share": None,
                "versions": [],
            }
        ]
        assert "with the next label" in CliRunner().invoke(app, ["projects", "list"]).output
