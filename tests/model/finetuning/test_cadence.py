"""At how many labelled images the next training is due."""

from __future__ import annotations

import pytest

from fbnetv3.finetuning.cadence import FIRST, MANY_OBJECTS, Cadence


def test_trainings_come_as_the_images_grow_by_half() -> None:
    due, cadence = [0], Cadence(first=5, growth=0.5)
    while due[-1] < 90:
        due.append(cadence.after(due[-1]))
    assert due[1:] == [5, 8, 12, 18, 27, 41, 62, 93]


@pytest.mark.parametrize(
    ("cadence", "labelled", "after"),
    [
        (Cadence(1, 0.5), 1, 2),
        (Cadence(1, 1.0), 7, 14),
        (Cadence(1, 2.0), 7, 21),
        (Cadence(1, 0.07), 100, 107),  # 0.07 * 100 is more than 7 as a float
        (Cadence(1, 0.1), 31, 35),
        (Cadence(1, 1e-12), 5, 6),
        (Cadence(10, 0.5), 0, 10),
        (Cadence(10, 0.5), 9, 10),
        (Cadence(10, 0.5), 10, 15),
    ],
)
def test_a_share_is_rounded_up_and_one_at_least(cadence: Cadence, labelled: int, after: int) -> None:
    assert cadence.after(labelled) == after


@pytest.mark.parametrize(
    ("labelled", "decided", "tried", "is_due"),
    [
        (4, 0, 0, False),
        (5, 0, 0, True),
        (200, 0, 0, True),
        (7, 5, 5, False),
        (8, 5, 5, True),
        (6, 0, 5, False),  # the first training came to no decision
        (7, 0, 5, False),
        (8, 0, 5, True),
        (5, 0, 4, True),  # somebody asked for one before it was due
        (9, 5, 8, False),
        (12, 5, 8, True),
        (8, 5, 7, True),
        (3, 5, 5, False),
    ],
)
def test_when_it_is_due(labelled: int, decided: int, tried: int, is_due: bool) -> None:
    assert Cadence(5, 0.5).is_due(labelled, decided, tried) is is_due


@pytest.mark.parametrize(
    ("cadence", "labelled", "tried", "objects", "is_due"),
    [
        (Cadence(), 1, 0, MANY_OBJECTS, True),
        (Cadence(), 1, 0, MANY_OBJECTS - 1, False),
        (Cadence(), 2, 0, MANY_OBJECTS, True),
        (Cadence(), 2, 1, MANY_OBJECTS, False),  # only the first training
        (Cadence(), 3, 1, 0, True),
        (Cadence(FIRST + 1), 1, 0, 10 * MANY_OBJECTS, False),  # somebody asked to wait for more
    ],
)
def test_one_image_full_of_objects_is_enough(
    cadence: Cadence, labelled: int, tried: int, objects: int, is_due: bool
) -> None:
    assert cadence.is_due(labelled, tried, tried, objects) is is_due
