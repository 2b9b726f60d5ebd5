"""Average precision by COCO's rules: the truth scores 1, nothing scores 0, and only what belongs counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
from scene_data import OneExample, scenes

from fbnetv3.data.coco import CocoError, encode_mask, to_coco
from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.images import ImageError
from fbnetv3.instances import BoxMask, Instances
from fbnetv3.judging.average_precision import Evaluation, average_precision, evaluate


@dataclass
class Oracle:
    """Stands in for a detector: answers with what it is given for each image, in order."""

    answers: list[Instances]
    labels: tuple[str, ...]
    has_masks: bool = True

    def predict(self, images: Sequence[Any]) -> list[Instances]:
        return [self.answers.pop(0) for _ in images]


def truth_as_instances(example: Example, labels: tuple[str, ...]) -> Instances:
    scores = np.linspace(0.9, 0.5, len(example.boxes)).astype(np.float32)
    return Instances(example.image.shape[:2], example.boxes, scores, example.classes, labels, example.masks)


def all_knowing(**changes: Any) -> Oracle:
    examples = SceneExamples(0, 4, (128, 160))
    answers = [truth_as_instances(examples[i], examples.labels) for i in range(4)]
    return Oracle(
        [replace(answer, **changes) for answer in answers], changes.get("label_names", examples.labels)
    )


def knowing_nothing() -> Oracle:
    _, images = scenes()
    labels = SceneExamples(0, 4).labels
    return Oracle([Instances.empty(image.shape[:2], labels, with_masks=True) for image in images], labels)


def judge(oracle: Oracle, truth: dict[str, Any] | None = None) -> Evaluation:
    data, images = scenes()
    return evaluate(oracle, truth or data, images)  # type: ignore[arg-type]


class TestEvaluate:
    def test_the_truth_is_perfect(self) -> None:
        heard: list[int] = []
        data, images = scenes()
        result = evaluate(all_knowing(), data, images, lambda: heard.append(1))  # type: ignore[arg-type]
        assert result.mask is not None
        for precision in (result.box, result.mask):
            assert precision.AP == precision.AP50 == precision.AP75 == 1.0
            assert {precision.APs, precision.APm, precision.APl} <= {1.0, -1.0}
        assert result.images == len(heard) == 4 and result.ms_per_image >= 0

    def test_as_json(self) -> None:
        result = json.loads(json.dumps(judge(all_knowing()).as_dict()))
        numbers = {"AP", "AP50", "AP75", "APs", "APm", "APl"}
        assert result["box"].keys() == result["mask"].keys() == numbers
        assert result["box"]["AP"] == 1.0 and "ms_per_image" in result

    def test_nothing_found_scores_nothing(self) -> None:
        result = judge(knowing_nothing())
        assert result.mask is not None
        assert result.box.AP == result.box.AP50 == result.mask.AP == 0.0

    def test_sizes_that_the_data_lacks_are_marked_when_nothing_is_found(self) -> None:
        """-1, just as they are for a detector that finds something."""
        perfect, found = judge(all_knowing()).box, judge(knowing_nothing()).box
        assert -1.0 in (perfect.APs, perfect.APm, perfect.APl)
        for size in ("APs", "APm", "APl"):
            assert (getattr(found, size) == -1) == (getattr(perfect, size) == -1), size

    def test_boxes_beside_the_objects_score_nothing(self) -> None:
        oracle = all_knowing()
        oracle.answers = [replace(one, boxes=one.boxes + 500) for one in oracle.answers]
        result = judge(oracle)
        assert result.mask is not None
        assert result.box.AP == 0.0 and result.mask.AP == 1.0

    def test_wrong_masks_cost_the_mask_score_only(self) -> None:
        oracle = all_knowing()
        corner = BoxMask(0, 0, np.ones((2, 2), bool))
        oracle.answers = [replace(one, masks=(corner,) * len(one)) for one in oracle.answers]
        result = judge(oracle)
        assert result.mask is not None
        assert result.box.AP == 1.0 and result.mask.AP == 0.0

    def test_labels_are_matched_by_name(self) -> None:
        """The detector knows the same labels in another order, and one more, which counts for nothing."""
        labels = SceneExamples(0, 4).labels
        theirs = ("stranger", *reversed(labels))
        oracle = all_knowing(label_names=theirs)
        oracle.answers = [replace(one, classes=len(labels) - one.classes) for one in oracle.answers]
        oracle.answers[0] = add_stranger(oracle.answers[0])
        assert judge(oracle).box.AP == 1.0

    def test_swapped_labels_cost(self) -> None:
        oracle = all_knowing()
        count = len(oracle.labels)
        oracle.answers = [replace(one, classes=(one.classes + 1) % count) for one in oracle.answers]
        assert judge(oracle).box.AP < 0.2

    def test_an_image_that_cannot_be_read_is_named(self) -> None:
        class Blind(Oracle):
            def predict(self, images: Sequence[Any]) -> list[Instances]:
                raise ImageError("cannot be read")

        data, images = scenes()
        blind = Blind([], all_knowing().labels)
        with pytest.raises(CocoError, match=rf"^{data['images'][0]['id']}: cannot be read$"):
            evaluate(blind, data, images)  # type: ignore[arg-type]

    def test_no_label_in_common(self) -> None:
        with pytest.raises(CocoError, match="zebra"):
            judge(Oracle([], ("zebra", "yak")))

    def test_names_match_whatever_their_case(self) -> None:
        data, _ = scenes()
        renamed = [one | {"name": f" {one['name'].upper()}"} for one in data["categories"]]
        assert judge(all_knowing(), {**data, "categories": renamed}).box.AP == 1.0

    def test_the_exact_name_goes_before_one_of_another_case(self) -> None:
        data, _ = scenes()
        categories = [{"id": 99, "name": data["categories"][0]["name"].upper()}, *data["categories"]]
        assert judge(all_knowing(), {**data, "categories": categories}).box.AP == 1.0

    @pytest.mark.parametrize("crowds", [True, False])
    def test_without_an_object_there_is_nothing_to_measure(self, crowds: bool) -> None:
        data, _ = scenes()
        labels = [one | {"iscrowd": 1} for one in data["annotations"]] if crowds else []
        with pytest.raises(CocoError, match="no labelled object to find"):
            judge(all_knowing(), {**data, "annotations": labels})

    def test_an_object_whose_mask_is_not_known_costs_no_mask_score(self) -> None:
        data, _ = scenes()
        labels = [{**one, "segmentation": []} if i == 0 else one for i, one in enumerate(data["annotations"])]
        result = judge(all_knowing(), {**data, "annotations": labels})
        assert result.mask is not None and result.mask.AP == result.box.AP == 1.0

    def test_the_truth_is_not_written_into(self) -> None:
        data, _ = scenes()
        before = json.dumps(data)
        judge(all_knowing(), data)
        assert json.dumps(data) == before

    @pytest.mark.parametrize("kind", ["bbox", "segm"])
    def test_polygons_runs_and_results_are_not_written_into(self, kind: Literal["bbox", "segm"]) -> None:
        runs = {"size": [100, 100], "counts": [5050, 20, 4930]}
        square = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
        polygon = {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]}
        labels = [
            {"id": i, "area": 400, "iscrowd": 0, **square, **shape}
            for i, shape in enumerate([polygon, {"segmentation": runs}], 1)
        ]
        truth = {
            "images": [{"id": 1, "width": 100, "height": 100}],
            "categories": [{"id": 1, "name": "bolt"}],
            "annotations": labels,
        }
        results = [
            {
                **square,
                "score": 0.9,
                "segmentation": encode_mask(BoxMask(10, 10, np.ones((20, 20), bool)), (100, 100)),
            }
        ]
        before = json.dumps([truth, results])
        average_precision(truth, results, kind)
        assert json.dumps([truth, results]) == before

    def test_a_detector_without_masks_gets_no_mask_score(self) -> None:
        oracle = all_knowing(masks=None)
        oracle.has_masks = False
        result = judge(oracle)
        assert result.box.AP == 1.0 and result.mask is None

    def test_data_without_masks_gives_no_mask_score(self) -> None:
        data, _ = scenes()
        bare = [{k: v for k, v in label.items() if k != "segmentation"} for label in data["annotations"]]
        result = judge(all_knowing(), {**data, "annotations": bare})
        assert result.box.AP == 1.0 and result.mask is None

    def test_a_mask_is_small_by_its_own_area_not_its_boxs(self) -> None:
        """A thin false alarm in a large box counts among the small masks, as in detectron2's evaluation."""
        example = thin_frames(1)
        data, images = to_coco(OneExample(example, ("frame",)), [0])
        found = thin_frames(2)
        answer = replace(truth_as_instances(found, ("frame",)), scores=np.array([0.5, 0.9], np.float32))
        result = evaluate(Oracle([answer], ("frame",)), data, images)  # type: ignore[arg-type]
        assert result.mask is not None
        assert (result.mask.AP, result.mask.APs) == pytest.approx((0.5, 0.5), abs=0.01)


def add_stranger(found: Instances) -> Instances:
    """One more object, of class 0, scored above all others."""
    assert found.masks is not None
    return Instances(
        found.image_size,
        np.concatenate([np.array([[0, 0, 50, 50]], np.float32), found.boxes]),
        np.concatenate([np.array([0.99], np.float32), found.scores]),
        np.concatenate([[0], found.classes]),
        found.label_names,
        (BoxMask(0, 0, np.ones((50, 50), bool)), *found.masks),
    )


def thin_frames(count: int) -> Example:
    """Frames one pixel thick, 60 pixels wide: 236 pixels in a box of 3,600 (small is below 1,024)."""
    frame = np.ones((60, 60), bool)
    frame[1:-1, 1:-1] = False
    masks = tuple(BoxMask(10 + 80 * i, 10, frame) for i in range(count))
    boxes = np.array([[10 + 80 * i, 10, 70 + 80 * i, 70] for i in range(count)], np.float32)
    return Example(np.zeros((100, 200, 3), np.uint8), boxes, np.zeros(count, np.int64), masks)
