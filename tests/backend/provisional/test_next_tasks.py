"""Which stored predictions a new provisional version renews: those of the tasks that come next, and no others."""

from __future__ import annotations

import pytest
from label_studio_stand_in import PROJECT
from provisional_samples import Workplace

from prelabel.provisional.next_tasks import NEXT_TASKS, renew_next_tasks
from prelabel.queue.refresh import SAMPLING
from prelabel.versions.provisional import provisional_predictor

FOREIGN = "yolo-v8"
NAME = "p7-provisional-1"


@pytest.fixture
def tasks(workplace: Workplace) -> list[int]:
    """Ten with a prediction of the base weights, the third of which was labelled last."""
    tasks = [workplace.add_task(seed) for seed in range(10)]
    for task in tasks:
        workplace.studio.add_prediction(task, workplace.base.version)
    workplace.label(tasks[2], 2)
    return tasks


def renew(workplace: Workplace, keep_going: bool = True) -> int:
    made = workplace.maker.make(PROJECT)
    assert made and made.version.name == NAME
    return renew_next_tasks(
        workplace.settings,
        workplace.database,
        workplace.studio.client(),
        provisional_predictor(workplace.settings, workplace.database, NAME, workplace.base),
        PROJECT,
        made.last_task,
        lambda: keep_going,
    )


def renewed(workplace: Workplace, tasks: list[int]) -> list[int]:
    """The places of the tasks that have its prediction, and it alone."""
    return [place for place, task in enumerate(tasks) if workplace.studio.versions(task) == [NAME]]


def test_the_tasks_after_the_last_label_are_renewed(workplace: Workplace, tasks: list[int]) -> None:
    assert renew(workplace) == NEXT_TASKS
    assert renewed(workplace, tasks) == [3, 4, 5, 6, 7]
    assert workplace.studio.versions(tasks[2]) == [workplace.base.version]
    assert workplace.studio.project["model_version"] == "", "what the project shows is not changed"


def test_after_the_end_the_first_ones_are_next(workplace: Workplace, tasks: list[int]) -> None:
    workplace.label(tasks[8], 8)
    renew(workplace)
    assert renewed(workplace, tasks) == [0, 1, 3, 4, 9]


def test_a_task_without_a_prediction_is_left_to_label_studio_and_others_predictions_stay(
    workplace: Workplace, tasks: list[int]
) -> None:
    studio = workplace.studio
    studio.predictions = {n: row for n, row in studio.predictions.items() if row["task"] != tasks[3]}
    studio.add_prediction(tasks[4], FOREIGN)
    assert renew(workplace) == NEXT_TASKS - 1
    assert studio.versions(tasks[3]) == []
    assert studio.versions(tasks[4]) == [NAME, FOREIGN]


def test_a_prediction_keeps_its_id_since_its_task_may_be_open(workplace: Workplace, tasks: list[int]) -> None:
    before = {number: row["task"] for number, row in workplace.studio.predictions.items()}
    renew(workplace)
    after = {number: row["task"] for number, row in workplace.studio.predictions.items()}
    assert after == before
    [row] = [one for one in workplace.studio.predictions.values() if one["task"] == tasks[3]]
    assert row["result"] and row["score"] > 0


def test_the_prediction_that_shows_is_the_one_that_is_renewed(workplace: Workplace, tasks: list[int]) -> None:
    studio = workplace.studio
    studio.add_prediction(tasks[3], "coco-bbbbbbbbbbbb")
    studio.project["model_version"] = "coco-bbbbbbbbbbbb"
    renew(workplace)
    assert studio.versions(tasks[3]) == [workplace.base.version, NAME]
    assert studio.versions(tasks[4]) == [NAME]


def test_an_image_that_cannot_be_had_keeps_its_prediction(workplace: Workplace, tasks: list[int]) -> None:
    workplace.studio.tasks[tasks[3]]["data"]["image"] = "data:image/png;base64,AAAA"
    assert renew(workplace) == NEXT_TASKS - 1
    assert workplace.studio.versions(tasks[3]) == [workplace.base.version]


def test_where_the_stream_follows_scores_they_stay(workplace: Workplace, tasks: list[int]) -> None:
    workplace.studio.project["sampling"] = SAMPLING
    assert renew(workplace) == 0
    assert renewed(workplace, tasks) == []


def test_a_newer_label_ends_it(workplace: Workplace, tasks: list[int]) -> None:
    assert renew(workplace, keep_going=False) == 0
    assert renewed(workplace, tasks) == []
