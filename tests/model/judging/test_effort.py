"""Seconds of a person, counted by hand."""

from __future__ import annotations

import pytest

from fbnetv3.judging import Effort, ImageOutcome, seconds_with, seconds_without

EFFORT = Effort(check=1, correct_box=10, draw_box=100, correct_mask=1_000, draw_mask=10_000, delete=100_000)


def test_every_object_costs_one_action():
    """Four boxes: 1 right, 2 to correct, 1 missed; five outlines: 2 right, 1 to correct, 2 missed; 3 alarms."""
    outcome = ImageOutcome(
        objects=9,
        no_edit=3,
        found=6,
        false_positives=3,
        outlined=5,
        outlined_no_edit=2,
        outlined_found=3,
    )
    assert seconds_with([outcome], EFFORT) == 3 * 1 + 2 * 10 + 1 * 100 + 1 * 1_000 + 2 * 10_000 + 3 * 100_000
    assert seconds_without([outcome], EFFORT) == 4 * 100 + 5 * 10_000
    assert seconds_with([outcome, outcome], EFFORT) == 2 * seconds_with([outcome], EFFORT)


def test_nothing_found_saves_nothing():
    outcome = ImageOutcome(objects=7, no_edit=0, found=0, false_positives=0, outlined=3)
    assert seconds_with([outcome]) == pytest.approx(seconds_without([outcome]))


def test_defaults_reward_what_helps():
    """Keeping is cheaper than correcting, correcting than deleting and drawing, and outlines cost more."""
    effort = Effort()
    assert effort.check < effort.correct_box < effort.draw_box < effort.correct_mask < effort.draw_mask
    assert effort.correct_box < effort.delete + effort.draw_box


def test_the_defaults_are_the_published_figures():
    """Of docs/versions.md: extreme clicking and COCO's workers; the others are assumptions of ours."""
    assert Effort() == Effort(
        check=2.0, correct_box=5.0, draw_box=7.0, correct_mask=40.0, draw_mask=79.2, delete=3.0
    )


def test_no_images_no_time():
    assert seconds_with([]) == seconds_without([]) == 0
