"""Pages as the console makes them, without a browser: addresses, empty states, live parts, actions, figures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from version_samples import JUDGEMENT, store_version

from fbnetv3.judging import ImageOutcome, ScoredRegion
from prelabel.console import kept as kept_module
from prelabel.console.actions import ACTIONS, perform
from prelabel.console.charts import quality_chart
from prelabel.console.context import Context
from prelabel.console.jobs import LOCK, Job, read_job, start_job
from prelabel.console.kept import Kept
from prelabel.console.pages import LIVE, PAGES, page_at
from prelabel.console.pages.runs import read_curves
from prelabel.console.pages.settings import NAMES
from prelabel.errors import PrelabelError
from prelabel.folders import LOG, project_folder, run_folder
from prelabel.queue.listing import NextTask, Queue
from prelabel.server.errors import ModelNotReady
from prelabel.settings import Settings, environment_name, load_settings
from prelabel.store.actions import list_actions
from prelabel.store.database import Database
from prelabel.store.label_counts import note_project
from prelabel.store.project_settings import CHANGEABLE, project_settings
from prelabel.store.promotions import add_promotion
from prelabel.store.review_decisions import keep_findings, review_findings
from prelabel.store.run_progress import claim, finish, note_labels, report, request_run
from prelabel.store.runs import RunState, Stage, get_run
from prelabel.store.version_details import VersionJudgement
from prelabel.store.version_figures import version_figures

PATIENCE_SECONDS = 180.0

FINDING = {
    "id": "abc123",
    "kind": "wrong_label",
    "confidence": 0.9,
    "source": "annotation",
    "place": {"file": "1.jpg", "task": 5, "image_key": "image"},
    "made_in": 3,
    "regions": ["r"],
    "objects": [0],
    "labels": ["Disc"],
    "boxes": [[1, 2, 30, 40]],
    "label": "Box",
    "box": None,
    "content": ["x"],
    "decision": None,
}


def absent(project_id: int | None) -> Any:
    raise ModelNotReady("The model is still loading; try again in a few seconds.")


@pytest.fixture
def settings(bare_environment: None, studio: LabelStudioStandIn, tmp_path: Path) -> Settings:
    return load_settings(
        prelabel_home=tmp_path / "home",
        label_studio_url=studio.url,
        label_studio_api_key="legacy-token",
        prelabel_worker=False,
    )


@pytest.fixture
def context(settings: Settings, database: Database) -> Context:
    """Of a server whose model is loading."""
    return Context(settings, database, absent)


def shown(content: Any) -> str:
    """Everything on a page, as JSON."""
    parts = content if isinstance(content, list) else [content]
    return json.dumps(
        [part.to_plotly_json() if hasattr(part, "to_plotly_json") else part for part in parts],
        default=_as_json,
    )


def _as_json(value: Any) -> Any:
    return value.to_plotly_json() if hasattr(value, "to_plotly_json") else str(value)


def page(context: Context, path: str) -> tuple[str, str]:
    title, content = page_at(context, f"/console/{path}")
    return title, shown(content)


def until(is_so: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)
    return found


@pytest.fixture
def learnt(settings: Settings, database: Database) -> list[str]:
    """Three versions of the project, the last but one serving, the last turned away; and a run under way."""
    names = []
    for accepted, share, promoted in ((3, 0.2, True), (5, 0.5, True), (8, 0.4, False)):
        run = request_run(database, PROJECT, "labels")
        claim(database, run.id)
        note_labels(database, run.id, accepted)
        judged = VersionJudgement(replace(JUDGEMENT, no_edit_share=share))
        version = store_version(
            settings, database, run.id, judgement=judged, promoted=promoted, reason="Why <b>so</b>."
        )
        if promoted:
            add_promotion(database, PROJECT, version, "better")
        finish(
            database,
            run.id,
            RunState.PROMOTED if promoted else RunState.REJECTED,
            "Why <b>so</b>.",
            version.name,
        )
        names.append(version.name)
    run = request_run(database, PROJECT, "5 new labels")
    claim(database, run.id)
    report(database, run.id, Stage.TRAINING, 12, 48, 95.0)
    return names


class TestPages:
    def test_nothing_is_known(self, context: Context):
        title, text = page(context, "")
        assert title == "Projects" and "prelabel connect --project ID" in text

    @pytest.mark.parametrize(
        ("part", "said"),
        [
            ("", "No version was judged yet"),
            ("/versions", "No training run has made a version yet"),
            ("/runs", "No run yet"),
            ("/queue", "Asking Label Studio"),
            ("/review", "Nothing looks wrong"),
            ("/doctor", "being checked"),
        ],
    )
    def test_what_is_empty_says_what_to_do(self, context: Context, part: str, said: str):
        title, text = page(context, f"projects/{PROJECT}{part}")
        assert title in ("Discs", f"Project {PROJECT}") and said in text

    def test_projects_have_the_names_that_people_gave_them(self, context: Context, database: Database):
        note_project(database, PROJECT)
        until(lambda: "Discs" in page(context, "")[1], "the title")

    def test_label_studio_is_away(self, context: Context, studio: LabelStudioStandIn, database: Database):
        away = replace_url(context, "http://127.0.0.1:9")
        note_project(database, PROJECT)
        assert f"Project {PROJECT}" in page(away, "")[1]
        until(lambda: "127.0.0.1:9" in page(away, f"projects/{PROJECT}/queue")[1], "why there is no queue")

    @pytest.mark.parametrize(
        "path",
        [
            "nowhere",
            "projects",
            "projects/0",
            "projects/seven",
            "projects/7/nowhere",
            "projects/7/versions/p7-v1,../x",
        ],
    )
    def test_there_is_no_such_page(self, context: Context, path: str):
        title, text = page(context, path)
        assert title == "No such page" and "overview" in text

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("projects/7/versions/p7-v99", "there is no version"),
            ("projects/7/versions/p5-v1", "p5-v1 is no version of project 7"),
            ("projects/7/runs/99", "There is no run 99"),
            ("projects/9999999999", "There is no page"),
        ],
    )
    def test_what_there_is_not_is_said(self, context: Context, path: str, said: str):
        assert said in page(context, path)[1]

    def test_a_run_of_another_project(self, context: Context, learnt: list[str]):
        assert "is of project 7" in page(context, "projects/8/runs/1")[1]

    def test_quality_and_the_run_under_way(self, context: Context, learnt: list[str]):
        text = page(context, f"projects/{PROJECT}")[1]
        assert "50%" in text and "step 12 of 48, 2 min left" in text
        assert learnt[1] in text and "cancel run" in text

    def test_versions(self, context: Context, learnt: list[str]):
        text = page(context, f"projects/{PROJECT}/versions")[1]
        assert all(name in text for name in learnt)
        assert text.count('"action": "roll back"') == 2, "the first version, and the base weights"
        assert f"compare with {learnt[1]}" in text

    def test_versions_side_by_side_show_what_differs(self, context: Context, learnt: list[str]):
        text = page(context, f"projects/{PROJECT}/versions/{learnt[0]},{learnt[1]}")[1]
        assert "0.200" in text and "0.500" in text and "feedfacecafe" not in text
        alone = page(context, f"projects/{PROJECT}/versions/{learnt[0]}")[1]
        assert "feedfacecafe" in alone

    def test_a_version_by_label(self, context: Context, settings: Settings, database: Database):
        judged = replace(
            JUDGEMENT,
            by_label={"Disc": ImageOutcome(20, 10, 15, 4), "Box": ImageOutcome(0, 0, 0, 1)},
            thresholds={"Disc": 0.35, "Box": 1.01},
            regions=(ScoredRegion(0.9, True), ScoredRegion(0.2, False)),
        )
        version = store_version(settings, database, None, judgement=VersionJudgement(judged))
        text = page(context, f"projects/{PROJECT}/versions/{version.name}")[1]
        assert "by label, on 12 images" in text and "75%" in text and "0.35" in text and "never" in text
        assert "20 objects, 15 found, 10 need no edit, 4 false regions" in text
        assert "how often a score is right" in text

    def test_a_run_with_its_losses_and_log(
        self, context: Context, settings: Settings, database: Database, learnt: Any
    ):
        run = get_run(database, 4)
        folder = run_folder(settings, run)
        folder.mkdir(parents=True)
        (folder / LOG).write_text("x" * 40_000 + "\nthe last line\n")
        lines = [json.dumps({"step": step, "loss/loss_cls": 1 / step, "time": 1.0}) for step in range(1, 30)]
        (folder / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 30, "lo']))
        text = page(context, f"projects/{PROJECT}/runs/4")[1]
        assert "the last line" in text and "loss_cls" in text and len(text) < 60_000
        steps, curves = read_curves(folder / "metrics.jsonl")
        assert steps == list(range(1, 30)) and curves["loss_cls"][1] == 0.5

    def test_live_parts_are_made_by_name(self, context: Context, learnt: list[str]):
        for pattern, make in PAGES:
            assert callable(make) and pattern
        for name in ("project", "runs", "queue", "review", "doctor"):
            assert LIVE[name](context, str(PROJECT)) is not None


@pytest.fixture
def learnt_at_home(settings: Settings) -> Context:
    """Of a store where the commands look for it, with a version that serves."""
    database = Database.open(settings.database_url)
    version = store_version(settings, database, None)
    add_promotion(database, PROJECT, version, "better")
    return Context(settings, database, absent)


def ended(settings: Settings, name: str) -> Job | None:
    """The job of this name, once it has ended."""
    job = read_job(settings, PROJECT, name)
    return job if job and not job.is_running else None


def replace_url(context: Context, url: str) -> Context:
    settings = context.settings.model_copy(update={"label_studio_url": url})
    return Context(settings, context.database, context.predictor)


class TestQueue:
    def test_tasks_with_why_they_are_there(self, context: Context):
        tasks = (NextTask(11, 0.25, 1, False), NextTask(12, None, None, None), NextTask(13, 0.5, 2, True))
        order = Queue(tasks, "margin", 0.1, "p7-v1", datetime(2026, 1, 2, tzinfo=UTC), "p7-v2", True)
        context.kept.ask(("queue", PROJECT), lambda: order, 60)
        until(lambda: context.kept.ask(("queue", PROJECT), lambda: order, 60).value, "the queue")
        text = page(context, f"projects/{PROJECT}/queue")[1]
        assert (
            "1. task 11" in text
            and "margin" in text
            and "no prediction yet" in text
            and "random share" in text
        )
        assert "shows p7-v2, not p7-v1" in text and "pictures/tasks/13.jpg" in text


def test_every_setting_of_a_project_has_a_name() -> None:
    assert set(NAMES) == {environment_name(name) for name in CHANGEABLE}


class TestChart:
    def test_promoted_and_rejected_and_no_markup_of_others(self, database: Database, learnt: list[str]):
        chart = quality_chart(version_figures(database, PROJECT))
        share = next(trace for trace in chart.data if trace.name == "needs no edit")
        assert list(share.x) == [3, 5, 8] and list(share.y) == [0.2, 0.5, 0.4]
        assert list(share.marker.symbol) == ["circle", "circle", "circle-open"]
        assert "Why &lt;b&gt;so" in share.customdata[0]
        assert "mask AP50" not in [trace.name for trace in chart.data], "it has no masks"


class TestActions:
    def test_each_asks_and_names_its_command(self):
        for action in ACTIONS.values():
            assert action.question(7, "p7-v1").endswith(("?", ".")) and action.command(7, "p7-v1").startswith(
                "prelabel "
            )

    def test_a_run_is_cancelled(self, context: Context, database: Database):
        run = request_run(database, PROJECT, "labels")
        done, said = perform(context, "cancel run", PROJECT, str(run.id), "ann")
        assert done and said == f"Run {run.id} is cancelled."
        assert get_run(database, run.id).state == RunState.CANCELLED

    @pytest.mark.parametrize(
        ("name", "of", "said"),
        [
            ("cancel run", "99", "There is no run 99"),
            ("cancel run", "nine", "no number of a run"),
            ("accept finding", "nothing", "has no finding"),
            ("format the disk", "", "There is no action"),
        ],
    )
    def test_what_cannot_be_done_is_said_and_logged(
        self, context: Context, database: Database, name: str, of: str, said: str
    ):
        done, why = perform(context, name, PROJECT, of, "ann")
        assert not done and said in why
        [action] = list_actions(database)
        assert (action.who, action.action, action.of, action.result) == ("ann", name, of, why)

    def test_the_base_weights_serve_again(self, settings: Settings, learnt_at_home: Context):
        done, said = perform(learnt_at_home, "roll back", PROJECT, "base", "ann")
        assert done and said == f"Started `prelabel versions rollback --project {PROJECT} base`."
        job = until(lambda: ended(settings, "rollback"), "its end")
        assert job.exit_code == 0 and "is served by the base weights now" in job.printed
        assert "prelabel versions rollback" in page(learnt_at_home, f"projects/{PROJECT}/versions")[1]

    def test_what_nobody_foresaw_is_logged_too(
        self, context: Context, database: Database, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_: object) -> str:
            raise KeyError("s3cret")

        broken = replace(ACTIONS["start training"], perform=fail)
        monkeypatch.setitem(ACTIONS, "start training", broken)
        done, said = perform(context, "start training", PROJECT, "", "ann")
        assert not done and "internal error" in said and "s3cret" not in said
        assert [action.result for action in list_actions(database)] == [said]

    def test_a_run_of_another_project_is_not_cancelled(self, context: Context, database: Database):
        run = request_run(database, PROJECT, "labels")
        assert perform(context, "cancel run", PROJECT + 1, str(run.id), "ann") == (
            False,
            f"Run {run.id} is of another project.",
        )

    def test_a_setting(self, context: Context, settings: Settings, database: Database):
        done, said = perform(context, "change setting", PROJECT, "PRELABEL_TRAIN_EVERY=5", "ann")
        assert done and said == "PRELABEL_TRAIN_EVERY is 5 for this project from now on."
        assert project_settings(settings, database, PROJECT).prelabel_train_every == 5
        assert "From: this project." in page(context, f"projects/{PROJECT}/settings")[1]
        done, said = perform(context, "change setting", PROJECT, "PRELABEL_TRAIN_EVERY=often", "ann")
        assert not done and "must be" in said
        assert perform(context, "change setting", PROJECT, "PRELABEL_TRAIN_EVERY=", "ann")[0]
        assert project_settings(settings, database, PROJECT) == settings

    def test_findings(self, context: Context, database: Database):
        keep_findings(database, PROJECT, {"abc123": FINDING})
        text = page(context, f"projects/{PROJECT}/review")[1]
        assert "Disc -> Box" in text and "abc123-1.jpg" in text
        assert perform(context, "dismiss finding", PROJECT, "abc123", "ann")[0]
        assert [row.decision for row in review_findings(database, PROJECT)] == ["dismissed"]
        assert "abc123" not in page(context, f"projects/{PROJECT}/review")[1]


class TestJobs:
    def test_a_command_is_carried_out_once_at_a_time(self, settings: Settings):
        said = start_job(settings, 7, "queue", ["--help"])
        assert said == "Started `prelabel --help`."
        with pytest.raises(PrelabelError, match="still at work"):
            start_job(settings, 7, "queue", ["--help"])
        job = until(
            lambda: (found := read_job(settings, 7, "queue")) and not found.is_running and found, "its end"
        )
        assert job.exit_code == 0 and "Usage" in job.printed

    def test_one_that_fails(self, settings: Settings):
        start_job(settings, 7, "review", ["runs", "show", "99"])
        job = until(
            lambda: (found := read_job(settings, 7, "review")) and not found.is_running and found, "its end"
        )
        assert job.exit_code == 1 and "There is no run 99" in job.printed

    def test_two_at_a_time(self, settings: Settings):
        locks = [FileLock(project_folder(settings, project) / "jobs" / "queue" / LOCK) for project in (8, 9)]
        for lock in locks:
            Path(lock.lock_file).parent.mkdir(parents=True)
        with locks[0], locks[1], pytest.raises(PrelabelError, match="2 other commands are at work"):
            start_job(settings, 7, "queue", ["--help"])
        assert start_job(settings, 7, "queue", ["--help"]) == "Started `prelabel --help`."
        until(lambda: ended(settings, "queue"), "its end")

    def test_none_was_started(self, settings: Settings):
        assert read_job(settings, 7, "queue") is None


class TestKept:
    def test_an_answer_is_made_behind_the_caller(self):
        kept, made = Kept(1), []
        first = kept.ask("a", lambda: made.append(1) or "answer", 60)
        assert first.value is None and first.is_coming
        until(lambda: kept.ask("a", lambda: made.append(1) or "other", 60).value == "answer", "the answer")
        assert made == [1], "it is kept"

    def test_an_old_one_is_shown_until_the_new_one_is_there(self):
        kept, number = Kept(1), iter(range(9))
        until(lambda: kept.ask("a", lambda: next(number), 60).value == 0, "the first")
        assert kept.ask("a", lambda: next(number), 0).value == 0
        until(lambda: kept.ask("a", lambda: next(number), 60).value == 1, "the second")

    @pytest.mark.parametrize(
        ("error", "said"),
        [(PrelabelError("It is away."), "It is away."), (RuntimeError("token=s3cret"), "internal error")],
    )
    def test_what_goes_wrong_is_said(self, error: Exception, said: str):
        def fail() -> None:
            raise error

        kept = Kept(1)
        answer = until(lambda: (found := kept.ask("a", fail, 60)).problem and found, "the problem")
        assert said in answer.problem and "s3cret" not in answer.problem and answer.value is None

    def test_a_failure_keeps_what_was_known_and_is_tried_again_soon(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(kept_module, "RETRY_SECONDS", 0.2)
        kept, answers = Kept(1), iter(["good", PrelabelError("It is away."), "again"])

        def make() -> str:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        until(lambda: kept.ask("a", make, 60).value, "the first")
        kept.renew("a")
        failed = until(lambda: (found := kept.ask("a", make, 60)).problem and found, "the failure")
        assert failed.value == "good"
        until(lambda: kept.ask("a", make, 60).value == "again", "another try")

    def test_renewing_what_is_being_made_makes_it_once_more_at_most(self):
        kept, made, go = Kept(1), [], threading.Event()

        def make() -> int:
            go.wait(10)
            made.append(1)
            return len(made)

        for _ in range(5):
            kept.ask("a", make, 60)
            kept.renew("a")
        go.set()
        until(lambda: kept.ask("a", make, 60).value, "the answer")
        assert len(made) == 1
