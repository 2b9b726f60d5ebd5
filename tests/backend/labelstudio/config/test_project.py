"""`Project`: what an answer says, and that an operation asks for the project once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from studio_work import VERSION, Work

from prelabel.connect.connect import connect_project
from prelabel.labelstudio.config.project import Project, labelled_tasks_of, read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.review.judges import ImagePredictions
from prelabel.review.review import ReviewOptions, review_project
from prelabel.store.run_progress import request_run
from prelabel.training.steps import LearningSteps

READ = f"GET /api/projects/{PROJECT}/"


@pytest.mark.parametrize(
    "piece",
    ["annotate", "snapshot", "queue", "publish", "reconcile", "doctor", "prelabels", "shown"],
)
def test_an_operation_reads_the_project_once(work: Work, piece: str) -> None:
    work.studio.requests.clear()
    getattr(work, piece)()
    assert work.studio.requests.count(READ) == 1


def test_a_review_reads_the_project_once(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prelabel.review.review.judge_project", lambda *_: ImagePredictions())
    review_project(
        work.settings, work.database, work.client, PROJECT, ReviewOptions(quick=True, predictions=True)
    )
    assert work.studio.requests.count(READ) == 1


def test_a_run_reads_the_project_once(work: Work, tmp_path: Path) -> None:
    run = request_run(work.database, PROJECT, "a test")
    steps = LearningSteps(work.settings, work.database, run, tmp_path)
    assert steps.labelled_tasks() == 3
    steps.read_labels(lambda *_: None)
    assert work.studio.requests.count(READ) == 1


def test_connecting_reads_it_again_after_label_studio_wrote_into_it(studio: LabelStudioStandIn) -> None:
    connection = connect_project(studio.client(), PROJECT, "http://127.0.0.1:9", VERSION)
    writes = [place for place, request in enumerate(studio.requests) if request == "POST /api/ml"]
    first, second = (place for place, request in enumerate(studio.requests) if request == READ)
    assert first < max(writes) < second
    assert connection.project.shown_version == "", "as it was before"


def test_a_new_order_reads_it_again_before_it_changes_the_stream(work: Work) -> None:
    """Somebody may have chosen another order meanwhile."""
    work.studio.requests.clear()
    work.order()
    assert work.studio.requests.count(READ) == 2


def test_a_queue_after_a_promotion_reads_it_again_when_all_is_pushed(work: Work) -> None:
    """Somebody may have chosen another version meanwhile."""
    work.refresh()
    assert work.studio.requests.count(READ) == 2
    pushed = [place for place, one in enumerate(work.studio.requests) if one.endswith("/import/predictions")]
    assert max(pushed) < len(work.studio.requests) - work.studio.requests[::-1].index(READ)


def test_its_labelling_config_is_parsed_once(studio: LabelStudioStandIn) -> None:
    project = read_project(studio.client(), PROJECT)
    assert project.config is project.config
    assert project.config.for_any_task() is project.config.for_any_task()
    assert project.objects_config.for_any_task().objects.labels == ("Disc", "Box")


def test_what_label_studio_leaves_empty() -> None:
    empty = Project(7, {"model_version": None, "show_collab_predictions": None, "task_number": None})
    assert (empty.shown_version, empty.shows_predictions, empty.tasks) == ("", False, 0)


@pytest.mark.parametrize(
    ("fields", "labelled"),
    [
        ({"num_tasks_with_annotations": 3, "ground_truth_number": 2}, 5),
        ({"num_tasks_with_annotations": 3, "ground_truth_number": None}, 3),
        ({"num_tasks_with_annotations": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_labelled_tasks_count_ground_truth_too(fields: Any, labelled: int | None) -> None:
    assert labelled_tasks_of(fields) == labelled


def test_a_number_of_labels_that_is_missing_is_one_sentence() -> None:
    with pytest.raises(LabelStudioError, match="does not say how many tasks of project 7 have labels"):
        _ = Project(7, {}).labelled_tasks
