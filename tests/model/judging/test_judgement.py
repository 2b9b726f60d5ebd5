"""Judging by hand-made pictures: what counts as right, found, missed and wrong, and what AP is made of."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from judgement_samples import (
    HERE,
    LABELS,
    THERE,
    UNKNOWN,
    Box,
    Examples,
    Scripted,
    counts,
    example,
    found,
    whole,
)
from scene_data import scenes

from fbnetv3.data.examples import SceneExamples
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.judging import ImageOutcome, Judgement, judge, outcomes_of
from fbnetv3.judging.average_precision import evaluate
from fbnetv3.judging.judgement import with_outcomes
from fbnetv3.judging.outcomes import image_outcome


class TestOutcome:
    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            ((10, 10, 50, 42), (1, 1, 1, 0)),  # IoU 0.8 exactly
            ((10, 10, 50, 41.9), (1, 0, 1, 0)),
            ((10, 10, 50, 30), (1, 0, 1, 0)),  # 0.5
            ((10, 10, 50, 29.9), (1, 0, 0, 1)),
        ],
    )
    def test_boxes(self, box: Box, expected: tuple[int, ...]):
        assert counts(found(("bolt", box, 0.9)), example(("bolt", HERE))) == expected

    @pytest.mark.parametrize(("rows", "no_edit"), [(30, 1), (29, 0)])
    def test_where_the_mask_is_known_it_decides(self, rows: int, no_edit: int):
        """Boxes fit perfectly, the masks by rows / 40: 0.75 is enough."""
        shown = found(("bolt", HERE, 0.9), masks=(BoxMask(10, 10, np.ones((rows, 40), bool)),))
        outcome = image_outcome(shown, example(("bolt", HERE), masks=(whole(HERE),)), LABELS)
        assert (outcome.no_edit, outcome.found) == (no_edit, 1)
        assert (outcome.outlined, outcome.outlined_no_edit, outcome.outlined_found) == (1, no_edit, 1)

    def test_an_object_without_a_mask_is_judged_by_its_box(self):
        """An empty mask means that it is not known; the other object's is."""
        truth = example(("bolt", HERE), ("bolt", THERE), masks=(UNKNOWN, whole(THERE)))
        shown = found(("bolt", HERE, 0.9), ("bolt", THERE, 0.8), masks=(whole((0, 0, 2, 2)),) * 2)
        outcome = image_outcome(shown, truth, LABELS)
        assert (outcome.no_edit, outcome.outlined, outcome.outlined_no_edit) == (1, 1, 0)

    def test_a_detector_without_masks_is_judged_by_boxes(self):
        outcome = image_outcome(
            found(("bolt", HERE, 0.9)), example(("bolt", HERE), masks=(whole(HERE),)), LABELS
        )
        assert (outcome.no_edit, outcome.outlined_no_edit) == (1, 1)

    def test_the_wrong_label_is_a_miss_and_an_alarm(self):
        assert counts(found(("nut", HERE, 0.9)), example(("bolt", HERE))) == (1, 0, 0, 1)

    def test_a_duplicate_must_be_deleted(self):
        shown = found(("bolt", HERE, 0.9), ("bolt", HERE, 0.8))
        assert counts(shown, example(("bolt", HERE))) == (1, 1, 1, 1)

    def test_a_region_serves_one_object_only(self):
        assert counts(found(("bolt", HERE, 0.9)), example(("bolt", HERE), ("bolt", HERE))) == (2, 1, 1, 0)

    def test_the_better_fit_wins_not_the_higher_score(self):
        """A poor region with a high score does not take the object that another one fits."""
        shown = found(("bolt", (10, 10, 50, 32), 0.99), ("bolt", HERE, 0.4))
        assert counts(shown, example(("bolt", HERE))) == (1, 1, 1, 1)

    def test_a_good_mask_wins_over_a_better_box(self):
        shown = found(
            ("bolt", HERE, 0.9),
            ("bolt", (10, 10, 50, 45), 0.8),
            masks=(whole((10, 10, 50, 20)), whole((10, 10, 50, 45))),
        )
        assert counts(shown, example(("bolt", HERE), masks=(whole(HERE),))) == (1, 1, 1, 1)

    def test_an_image_without_objects_has_alarms_only(self):
        assert counts(found(("bolt", HERE, 0.9)), example()) == (0, 0, 0, 1)

    def test_labels_that_the_data_lacks_are_not_shown(self):
        shown = found(("gear", HERE, 0.9), labels=("gear", "bolt", "nut"))
        assert counts(shown, example(("bolt", HERE))) == (1, 0, 0, 0)

    def test_nobody_serves(self):
        [outcome] = outcomes_of(None, Examples((example(("bolt", HERE)),)), 0.3)
        assert outcome == ImageOutcome(objects=1, no_edit=0, found=0, false_positives=0)

    def test_the_detector_is_asked_for_what_is_shown_only(self):
        detector = Scripted([found(("bolt", HERE, 0.9), ("bolt", THERE, 0.2))])
        [outcome] = outcomes_of(detector, Examples((example(("bolt", HERE)),)), 0.3)  # type: ignore[arg-type]
        assert detector.asked == [0.3] and outcome.false_positives == 0


class TestJudge:
    def test_the_same_ap_as_evaluate_from_one_look_at_each_image(self):
        data, images = scenes()
        truth = SceneExamples(0, 4, (128, 160))
        rng = np.random.default_rng(0)
        answers = []
        for index in range(4):
            one = truth[index]
            boxes = one.boxes + rng.normal(0, 3, one.boxes.shape).astype(np.float32)
            scores = rng.uniform(0.1, 0.9, len(boxes)).astype(np.float32)
            answers.append(
                Instances(one.image.shape[:2], boxes, scores, one.classes, truth.labels, one.masks)
            )
        detector = Scripted(answers, truth.labels, has_masks=True)
        heard: list[int] = []
        judgement = judge(detector, truth, on_image=lambda: heard.append(1))  # type: ignore[arg-type]
        assert len(detector.asked) == len(heard) == judgement.images == 4
        expected = evaluate(Scripted(answers, truth.labels, True), data, images)  # type: ignore[arg-type]
        assert expected.mask is not None and 0 < expected.box.AP < 1
        assert (judgement.box_AP, judgement.box_AP50) == (expected.box.AP, expected.box.AP50)
        assert (judgement.mask_AP, judgement.mask_AP50) == (expected.mask.AP, expected.mask.AP50)

    def test_ap_takes_all_scores_the_rest_what_is_shown(self):
        detector = Scripted([found(("bolt", HERE, 0.29), ("nut", THERE, 0.3))])
        judgement = judge(detector, Examples((example(("bolt", HERE), ("nut", THERE)),)))  # type: ignore[arg-type]
        assert judgement.box_AP == 1.0
        assert judgement.no_edit_share == 0.5
        assert judgement.mask_AP is judgement.mask_AP50 is None

    def test_boxes_only_asks_for_no_masks(self):
        data = Examples((example(("bolt", HERE), masks=(whole(THERE),)),))
        detector = Scripted([found(("bolt", HERE, 0.9), masks=(UNKNOWN,))], has_masks=True)
        judgement = judge(detector, data, boxes_only=True)  # type: ignore[arg-type]
        assert detector.masks_from == float("inf")
        assert judgement.mask_AP is None and judgement.box_AP == judgement.no_edit_share == 1.0

    def test_unknown_labels_are_zeros(self):
        data = Examples((example(("bolt", HERE), masks=(whole(HERE),)), example()))
        detector = Scripted([], ("zebra",), has_masks=True)
        judgement = judge(detector, data)  # type: ignore[arg-type]
        assert (judgement.images, judgement.objects, detector.asked) == (2, 1, [])
        assert judgement.box_AP50 == judgement.mask_AP50 == judgement.no_edit_share == 0
        assert judgement.false_positives_per_image == 0

    def test_a_label_that_it_does_not_know_is_missed(self):
        detector = Scripted([found(("bolt", HERE, 0.9), labels=("bolt",))], ("bolt",))
        judgement = judge(detector, Examples((example(("bolt", HERE), ("nut", THERE)),)))  # type: ignore[arg-type]
        assert judgement.box_AP == judgement.no_edit_share == 0.5

    def test_counts_by_label_add_up(self):
        detector = Scripted([found(("bolt", HERE, 0.9), ("nut", HERE, 0.8)), found(("nut", THERE, 0.7))])
        data = Examples((example(("bolt", HERE), ("nut", THERE)), example(("nut", THERE))))
        judgement = judge(detector, data)  # type: ignore[arg-type]
        assert judgement.by_label == {"bolt": ImageOutcome(1, 1, 1, 0), "nut": ImageOutcome(2, 1, 1, 1)}
        assert ImageOutcome.total(judgement.by_label.values()) == ImageOutcome.total(judgement.outcomes)
        again = Judgement.from_dict(json.loads(json.dumps(judgement.as_dict())))
        assert again.by_label == judgement.by_label
        older = {name: value for name, value in judgement.as_dict().items() if name != "by_label"}
        assert Judgement.from_dict(older).by_label == {}

    def test_images_without_objects_count_alarms(self):
        detector = Scripted([found(("bolt", HERE, 0.9)), found()])
        judgement = judge(detector, Examples((example(), example())))  # type: ignore[arg-type]
        assert (judgement.images, judgement.objects, judgement.box_AP) == (2, 0, 0.0)
        assert judgement.false_positives_per_image == 0.5

    def test_mask_ap_where_only_some_masks_are_known(self):
        """The object known by its box costs nothing, whether it is found or not; a mask elsewhere does."""
        truth = Examples((example(("bolt", HERE), ("bolt", THERE), masks=(whole(HERE), UNKNOWN)),))
        beside: Box = (100, 60, 140, 95)
        near_it = ("bolt", THERE, 0.95), ("bolt", HERE, 0.9)
        elsewhere = ("bolt", beside, 0.95), ("bolt", HERE, 0.9)
        for regions, expected in ((near_it, 1.0), (near_it[1:], 1.0), (elsewhere, 0.5)):
            shown = found(*regions, masks=tuple(whole(box) for _, box, _ in regions))
            judgement = judge(Scripted([shown], has_masks=True), truth)  # type: ignore[arg-type]
            assert judgement.mask_AP == pytest.approx(expected, abs=0.01)

    def test_no_images(self):
        judgement = judge(Scripted([]), Examples(()))  # type: ignore[arg-type]
        assert (judgement.images, judgement.box_AP, judgement.outcomes) == (0, 0.0, ())

    def test_there_and_back_as_json(self):
        detector = Scripted([found(("bolt", HERE, 0.9), masks=(whole(HERE),))], has_masks=True)
        judgement = judge(detector, Examples((example(("bolt", HERE), masks=(whole(HERE),)),)))  # type: ignore[arg-type]
        assert Judgement.from_dict(json.loads(json.dumps(judgement.as_dict()))) == judgement

    def test_what_was_found_in_an_image_is_kept_by_its_key(self):
        """Records of older releases have no keys."""
        detector = Scripted([found(("bolt", HERE, 0.9)), found()])
        images = Examples((example(("bolt", HERE)), example(("nut", THERE))))
        judgement = replace(judge(detector, images), keys=("first", "second"))  # type: ignore[arg-type]
        written = json.loads(json.dumps(judgement.as_dict()))
        assert Judgement.from_dict(written).by_key == {
            "first": ImageOutcome(1, 1, 1, 0),
            "second": ImageOutcome(1, 0, 0, 0),
        }
        del written["keys"]
        assert Judgement.from_dict(written).by_key == {}

    def test_the_figures_are_those_of_the_outcomes_that_it_is_given(self):
        detector = Scripted([found(("bolt", HERE, 0.9))])
        judgement = judge(detector, Examples((example(("bolt", HERE)),)))  # type: ignore[arg-type]
        others = [ImageOutcome(4, 1, 2, 3), ImageOutcome(0, 0, 0, 2)]
        given = with_outcomes(judgement, ("a", "b"), others)
        assert (given.images, given.objects, given.keys) == (2, 4, ("a", "b"))
        assert (given.no_edit_share, given.false_positives_per_image) == (0.25, 2.5)
        assert (given.box_AP, given.regions) == (judgement.box_AP, judgement.regions)
