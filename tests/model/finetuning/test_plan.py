"""What the data decides about a fine-tuning, and what a person decides instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from small_networks import as_checkpoint, small_network

from fbnetv3 import ConfigError
from fbnetv3.data.examples import Example
from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.finetuning.plan import LARGEST_MIN_SIZE, Outlines, Plan, make_plan
from fbnetv3.instances import BoxMask
from fbnetv3.weights import Checkpoint


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return as_checkpoint(small_network())


@dataclass(frozen=True)
class Squares:
    """Images of 480 x 640 with `objects` squares of `side` pixels each, at one place."""

    side: float
    count: int = 20
    labels: tuple[str, ...] = ("square",)
    masks: bool = False
    objects: int = 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        box = np.array([[100, 100, 100 + self.side, 100 + self.side]] * self.objects, np.float32)
        mask = BoxMask(100, 100, np.ones((int(self.side),) * 2, bool))
        classes = np.zeros(self.objects, np.int64)
        masks = (mask,) * self.objects if self.masks else None
        return Example(np.zeros((480, 640, 3), np.uint8), box, classes, masks)


def plan(start: Checkpoint, squares: Squares, processes: int = 1, **settings: object) -> Plan:
    return make_plan(start, Outlines.of(squares), FineTuningSettings(**settings), processes)  # type: ignore[arg-type]


def test_objects_of_usual_size_are_seen_as_the_start_weights_see(start: Checkpoint) -> None:
    chosen = plan(start, Squares(120))
    assert (chosen.min_size, chosen.max_size) == (320, 480)
    assert chosen.anchor_sizes == ((32, 64, 96, 128, 160),)


def test_small_objects_are_seen_larger_up_to_a_bound(start: Checkpoint) -> None:
    small, tiny = plan(start, Squares(36)), plan(start, Squares(6))
    assert 320 < small.min_size < tiny.min_size
    assert tiny.min_size == plan(start, Squares(2)).min_size == LARGEST_MIN_SIZE
    sizes = Outlines.of(Squares(36)).object_sizes(small.min_size, small.max_size)
    assert sizes.min() >= 31, "a small object covers two cells"


def test_a_network_that_sees_larger_images_anyway_keeps_its_size(start: Checkpoint) -> None:
    large = replace(start, settings={**start.settings, "min_size": 800, "max_size": 1333})
    chosen = plan(large, Squares(6))
    assert (chosen.min_size, chosen.max_size) == (800, 1333)


def test_labels_that_begin_otherwise_are_another_training(start: Checkpoint) -> None:
    outlines, settings = Outlines.of(Squares(120)), FineTuningSettings()
    plans = [make_plan(start, outlines, settings, 1, {"square": names}) for names in ([], ["a"], ["a"])]
    assert plans[0].fingerprint != plans[1].fingerprint == plans[2].fingerprint


def test_more_images_take_more_steps_and_fewer_epochs(start: Checkpoint) -> None:
    plans = [plan(start, Squares(100, count)) for count in (4, 40, 400)]
    assert [one.steps for one in plans] == sorted(one.steps for one in plans)
    assert [one.epochs for one in plans] == sorted((one.epochs for one in plans), reverse=True)
    assert all(
        one.steps == round(one.epochs * count / one.batch_size)
        for one, count in zip(plans, (4, 40, 400), strict=True)
    )


def test_what_is_given_goes_before_and_is_noted(start: Checkpoint) -> None:
    given = {
        "frozen_stages": 0,
        "epochs": 3.0,
        "learning_rate": 1e-4,
        "batch_size": 2,
        "min_size": 200,
        "max_size": 300,
        "norm": "GN",
    }
    chosen = plan(start, Squares(20), **given, seed=7, flip=False)
    assert {name: getattr(chosen, name) for name in given} == given
    assert {chosen.reasons[name] for name in given} == {"as given"}
    assert (chosen.seed, chosen.flip, chosen.steps) == (7, False, 30)


def test_anchors_change_only_where_hardly_any_object_overlaps_one(start: Checkpoint) -> None:
    tiny = plan(start, Squares(8))
    assert tiny.anchor_sizes[0][0] < 16 and len(tiny.anchor_sizes[0]) == 5
    assert tiny.reasons["anchor_sizes"].startswith("only 0% of the objects")
    given = plan(start, Squares(8), anchor_sizes=(10.0, 20.0, 30.0, 40.0, 50.0))
    assert given.anchor_sizes == ((10, 20, 30, 40, 50),) and given.reasons["anchor_sizes"] == "as given"
    with pytest.raises(ConfigError, match="anchor_sizes must be 5 sizes"):
        plan(start, Squares(8), anchor_sizes=(10.0,))


@pytest.mark.parametrize(("objects", "proposals"), [(1, 100), (10, 100), (11, 110), (20, 200), (100, 300)])
def test_crowded_images_get_more_proposals(start: Checkpoint, objects: int, proposals: int) -> None:
    chosen = plan(start, Squares(100, objects=objects))
    served = chosen.on_trained(start).settings
    assert served["post_nms_proposals_test"] == proposals
    assert served["pre_nms_proposals_test"] == 10 * proposals
    assert ("served" in chosen.reasons) == (proposals > 100)
    assert "post_nms_proposals_test" not in chosen.network_settings, "training looks as it did"


@pytest.mark.parametrize(("before", "after"), [(1000, 1000), (1000, 30), (3000, 100)])
def test_no_weights_look_at_fewer_proposals_than_before(start: Checkpoint, before: int, after: int) -> None:
    settings = {"pre_nms_proposals_test": before, "post_nms_proposals_test": after}
    own = replace(start, settings={**start.settings, **settings})
    served = plan(own, Squares(100, objects=20)).on_trained(own).settings
    assert served["post_nms_proposals_test"] == max(after, 200)
    assert served["pre_nms_proposals_test"] == max(before, 2000 if after < 200 else 0)


def test_every_choice_has_a_reason_that_people_can_read(start: Checkpoint) -> None:
    chosen = plan(start, Squares(20))
    assert {
        "frozen_stages",
        "min_size",
        "anchor_sizes",
        "epochs",
        "learning_rate",
        "norm",
    } <= chosen.reasons.keys()
    lines = chosen.lines()
    assert len(lines) == len(chosen.reasons) and f"min_size = {chosen.min_size}: " in "\n".join(lines)


def test_a_batch_is_shared_evenly_among_processes(start: Checkpoint) -> None:
    assert plan(start, Squares(20), processes=3).batch_size % 3 == 0
    with pytest.raises(ConfigError, match="batch_size must be a multiple of 2"):
        plan(start, Squares(20), processes=2, batch_size=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0.0},
        {"learning_rate": 0.0},
        {"learning_rate": 1.5},
        {"batch_size": 0},
        {"frozen_stages": -1},
        {"frozen_stages": 6},
        {"min_size": 63},
        {"max_size": 4097},
        {"devices": 0},
        {"cache_bytes": -1},
    ],
)
def test_impossible_settings_are_a_sentence(start: Checkpoint, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        plan(start, Squares(20), **wrong)


def test_the_fingerprint_tells_fine_tunings_apart(start: Checkpoint) -> None:
    one = plan(start, Squares(100)).fingerprint
    assert plan(start, Squares(100)).fingerprint == one
    others = {
        plan(start, Squares(101)).fingerprint,
        plan(start, Squares(100), seed=1).fingerprint,
        plan(start, Squares(100, labels=("cube",))).fingerprint,
        plan(
            replace(
                start,
                state={
                    **start.state,
                    "extra": start.state["pixel"]
                    if "pixel" in start.state
                    else next(iter(start.state.values())),
                },
            ),
            Squares(100),
        ).fingerprint,
    }
    assert one not in others and len(others) == 4


def test_outlines_tell_whether_masks_are_known() -> None:
    assert Outlines.of(Squares(20, masks=True)).has_masks
    assert not Outlines.of(Squares(20)).has_masks
