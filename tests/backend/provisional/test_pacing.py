"""When labels that wait get their version: at once, a burst once, a failing project later, no project all the time."""

from __future__ import annotations

from itertools import pairwise

from prelabel.provisional.pacing import (
    LONGEST_SETTLE_SECONDS,
    POLL_SECONDS,
    REST,
    RETRY_SECONDS,
    SETTLE_SECONDS,
    Pacing,
)

A, B = 3, 4


def made_at(labels_at: dict[float, int], seconds: float, takes: float = 0.2) -> list[float]:
    """When versions are begun where labels of one project come at these moments; each takes a while."""
    pacing, now, begun, read = Pacing(), 0.0, [], 0
    while now < seconds:
        changes = sum(number for moment, number in labels_at.items() if moment <= now)
        waiting = {A: changes} if changes != read else {}
        if pacing.next(waiting, now) == A:
            begun.append(round(now, 2))
            read = changes
            pacing.made(A, now, now + takes)
            now += takes
        now += POLL_SECONDS
    return begun


def test_one_label_is_learnt_at_once() -> None:
    [begun] = made_at({1.0: 1}, 20)
    assert SETTLE_SECONDS <= begun - 1.0 <= SETTLE_SECONDS + 2 * POLL_SECONDS


def test_a_burst_makes_one_or_two() -> None:
    assert len(made_at({1.0: 50}, 20)) == 1
    assert len(made_at({1.0 + number / 25: 1 for number in range(50)}, 20)) <= 2


def test_labels_that_keep_coming_do_not_hold_a_version_back_for_ever() -> None:
    begun = made_at({number / 5: 1 for number in range(100)}, 20)
    assert begun[0] <= LONGEST_SETTLE_SECONDS + 2 * POLL_SECONDS
    assert len(begun) <= 20 / LONGEST_SETTLE_SECONDS + 1


def test_a_project_rests_for_as_long_as_its_versions_take() -> None:
    begun = made_at({float(number): 1 for number in range(60)}, 60, takes=4.0)
    pauses = [later - earlier - 4.0 for earlier, later in pairwise(begun)]
    assert len(begun) > 3 and min(pauses) >= REST * 4.0


def test_who_waits_longest_comes_first() -> None:
    pacing = Pacing()
    assert pacing.next({B: 1}, 0.0) is None
    assert pacing.next({A: 1, B: 1}, 0.3) is None
    assert pacing.next({A: 1, B: 1}, 1.0) == B
    pacing.made(B, 1.0, 1.1)
    assert pacing.next({A: 1}, 1.2) == A


def test_a_project_that_fails_is_tried_again_later_and_holds_up_no_other() -> None:
    pacing = Pacing()
    pacing.next({A: 1}, 0.0)
    assert pacing.next({A: 1}, 1.0) == A
    pacing.failed(A, 1.0)
    pacing.next({A: 1, B: 1}, 2.0)
    assert pacing.next({A: 2, B: 1}, 3.0) == B
    pacing.made(B, 3.0, 3.1)
    assert pacing.next({A: 2}, RETRY_SECONDS) is None
    assert pacing.next({A: 2}, RETRY_SECONDS + 2) == A


def test_nobody_waits() -> None:
    assert Pacing().next({}, 0.0) is None
