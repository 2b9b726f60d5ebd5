"""How the tables of orders are made: gains at equal cost, and what it takes to be good enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fbnetv3.simulation import RoundResult

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from measuring.order_curves import Curves, mean_gain, read_curves


def rounds(seed: int, *points: tuple[int, int, float]) -> list[RoundResult]:
    """Of (images, objects, AP50); ten seconds per object."""
    return [
        RoundResult(
            ap,
            ap,
            None,
            None,
            0.0,
            0.0,
            seed,
            labels,
            objects,
            1,
            1.0,
            10.0 * objects,
            1.0,
            True,
            True,
            "",
            (1,),
        )
        for labels, objects, ap in points
    ]


RANDOM = rounds(0, (10, 100, 0.2), (20, 200, 0.4), (40, 400, 0.8))
#: Better image by image, with twice the objects in each.
BETTER = rounds(0, (10, 200, 0.3), (20, 400, 0.5), (40, 800, 0.9))
CURVES = Curves("set", {"margin": {0: BETTER}, "random": {0: RANDOM}}, {0: 0.8})


def test_gains_at_equal_images_objects_and_seconds():
    """At equal images 0.1 more; at equal objects 0.1 to 0.3 less than random, which has 0.4 at 200 and 0.8 at 400."""
    assert CURVES.gains("margin", "labels") == [pytest.approx(0.1)]
    assert CURVES.gains("margin", "objects") == [pytest.approx(-0.2)]
    assert CURVES.gains("margin", "person_seconds") == [pytest.approx(-0.2)]
    assert mean_gain([CURVES], "margin", "labels") == (pytest.approx(0.1), 1, 1)


def test_what_is_enough():
    """0.76, 95 % of 0.8: nine tenths of the way from 20 to 40 for random."""
    assert CURVES.enough_at("random", "labels") == pytest.approx(38)
    assert CURVES.enough_at("margin", "labels") == pytest.approx(20 + 20 * 0.26 / 0.4)
    low = Curves("set", {"random": {0: RANDOM[:2]}}, {0: 0.8})
    assert low.enough_at("random", "labels") is None


def test_seeds_that_are_not_finished_are_left_out():
    unfinished = {0: BETTER, 1: rounds(1, (10, 100, 0.9))}
    curves = Curves("set", {"margin": unfinished, "random": {0: RANDOM, 1: RANDOM}}, {})
    assert curves.seeds("margin") == [0] and curves.orders == ["random", "margin"]


def test_what_is_read(tmp_path: Path):
    for order, results in (("set/random", RANDOM), ("set/margin", BETTER), ("set-full", RANDOM[-1:])):
        for one in results:
            file = tmp_path / order / "seed0" / f"labels{one.labels}" / "result.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(one.as_dict()))
    assert read_curves(tmp_path / "set") == CURVES
