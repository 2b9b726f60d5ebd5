"""A provisional detector: what it is fitted to, what it finds, on either engine, and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_networks import NETWORKS, check_agreement, pair, scene
from small_networks import LABELS

from fbnetv3 import Detector
from fbnetv3.data.examples import ChosenExamples, Example
from fbnetv3.judging import Effort, ImageFindings, findings_of, judged_at_own_point
from fbnetv3.provisional import (
    LabelledRegions,
    RegionHead,
    fit_head,
    fitting,
    head_thresholds,
    labelled_regions,
    left_out,
    provisional_detector,
    read_head,
    read_regions,
    regions_of_example,
    start_head,
    write_head,
    write_regions,
)
from fbnetv3.weights import WeightsError

BASE = "base-1"


def base(engine: str = "torch") -> Detector:
    return Detector(getattr(pair("C4"), engine), LABELS, BASE)


def fitted(regions: list[LabelledRegions], *labels: str) -> RegionHead:
    return fit_head(regions, start_head(base(), labels, {}))


def drawn_objects(detector: Detector, count: int = 6) -> list[LabelledRegions]:
    """Objects where the network sees something: its first proposal is a `bolt`, its last a `nut`."""
    found = []
    for seed in range(count):
        features = detector.set_image(scene(seed, (128, 160)))
        boxes = features.encoded.proposals[[0, -1]] * features.scale
        found.append(labelled_regions(detector, features, boxes, ["bolt", "nut"]))
    return found


class TestRegions:
    def test_regions_are_matched_as_in_training(self) -> None:
        detector = base()
        features = detector.set_image(scene(1, (128, 160)))
        box = features.encoded.proposals[:1] * features.scale
        regions = labelled_regions(detector, features, box, ["bolt"])
        assert regions.names == ("bolt",)
        assert regions.owners[0] == regions.owners[-1] == 0, "the proposal, and the object itself"
        assert (regions.owners == -1).any()
        assert len(regions.vectors) == len(regions.owners) == len(features.encoded.proposals) + 1
        assert np.allclose(regions.objects * features.scale, box, atol=1e-3) and not regions.outlined.any()

    def test_an_image_without_objects_is_all_background(self) -> None:
        detector = base()
        features = detector.set_image(scene(1, (128, 160)))
        regions = labelled_regions(detector, features, np.zeros((0, 4), np.float32), [])
        assert regions.names == () and (regions.owners == -1).all()
        assert len(regions.vectors) == len(features.encoded.proposals)

    def test_a_file_gives_back_what_was_written(self, tmp_path: Path) -> None:
        regions = drawn_objects(base(), 1)[0]
        write_regions(regions, tmp_path / "regions")
        again = read_regions(tmp_path / "regions")
        assert again.names == regions.names
        for array in ("vectors", "boxes", "owners", "objects", "outlined"):
            assert np.array_equal(getattr(again, array), getattr(regions, array))
        (tmp_path / "regions").write_bytes(b"x")
        with pytest.raises(WeightsError, match="holds no labelled regions"):
            read_regions(tmp_path / "regions")


class TestFitting:
    def test_what_was_labelled_is_found_again(self) -> None:
        detector = base()
        regions = drawn_objects(detector)
        head = fitted(regions, "nut", "bolt", "never seen")
        vectors = np.concatenate([one.vectors for one in regions]).astype(np.float32)
        names = np.array(["bolt", "nut", None, None])[np.concatenate([one.owners for one in regions])]
        scores = head.scores(vectors)
        bolts, nuts = scores[names == "bolt"][:, 1], scores[names == "nut"][:, 0]
        assert bolts.mean() > scores[names != "bolt"][:, 1].mean() + 0.3
        assert nuts.mean() > scores[names != "nut"][:, 0].mean() + 0.3
        assert scores[:, 2].max() < 0.05
        assert head.images == 6

    def test_labels_that_the_base_knows_begin_as_its_own(self) -> None:
        detector = base()
        start = start_head(detector, ("mine", "both", "new"), {"mine": LABELS[1:2], "both": LABELS[:2]})
        features = detector.set_image(scene(3, (128, 160)))
        described = detector.engine.describe(features.encoded, features.encoded.proposals)
        weight, bias = detector.engine.class_scores
        logits = described.vectors @ weight + bias
        ours = described.vectors @ start.weight + start.bias
        assert np.allclose(ours[:, 0], logits[:, 1], atol=1e-4)
        assert np.allclose(ours[:, 1], logits[:, :2].mean(1), atol=1e-4)
        assert np.allclose(ours[:, 2], logits[:, -1] - 4, atol=1e-4)
        assert start.images == 0

    def test_other_labels_are_background(self) -> None:
        regions = drawn_objects(base())
        head = fitted(regions, "bolt")
        renamed = [replace(one, owners=np.where(one.owners == 1, -1, one.owners)) for one in regions]
        same = fitted(renamed, "bolt")
        assert np.allclose(head.weight, same.weight) and np.allclose(head.bias, same.bias)

    def test_of_many_images_the_last_ones_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fitting, "MOST_IMAGES", 3)
        regions = drawn_objects(base())
        head = fitted(regions, "nut", "bolt")
        same, others = fitted(regions[3:], "nut", "bolt"), fitted(regions[:3], "nut", "bolt")
        assert head.images == 3 and np.array_equal(head.weight, same.weight)
        assert not np.array_equal(head.weight, others.weight)


class TestLeftOut:
    """What a head finds in an image tells how good it is only where it has not seen the image."""

    @staticmethod
    def found(
        count: int, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[list[list[int]], dict[str, ImageFindings]]:
        """For each image, in order: the places of the images that its head was fitted to, and what was found."""
        detector = base()
        regions = drawn_objects(detector, count)
        fitted_to: dict[int, list[int]] = {}

        def fit(chosen: list[LabelledRegions], start: RegionHead) -> RegionHead:
            head = fit_head(chosen, start)
            heads.append(head)
            places = [next(i for i, one in enumerate(regions) if one is own) for own in chosen]
            fitted_to[id(head.weight)] = places
            return head

        def look(base: Detector, examples: ChosenExamples, *_: Any, **__: Any) -> list[ImageFindings]:
            for place in examples.places:
                seen_by[place] = fitted_to[id(base.engine.class_scores.weight)]
            return findings_of(base, examples)

        heads: list[RegionHead] = []
        seen_by: dict[int, list[int]] = {}
        monkeypatch.setattr(left_out, "fit_head", fit)
        monkeypatch.setattr("fbnetv3.judging.findings.findings_of", look)
        images = Pictures(count)
        start = start_head(detector, ("bolt", "nut"), {})
        left_out_heads = left_out.left_out_heads(regions, start)
        found = left_out.left_out_findings(detector, images, keys_of(count), left_out_heads)
        return [seen_by[place] for place in range(count)], found

    @pytest.mark.parametrize(("count", "alone"), [(2, True), (3, True), (5, False)])
    def test_no_image_is_looked_at_by_a_head_that_was_fitted_to_it(
        self, count: int, alone: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen_by, found = self.found(count, monkeypatch)
        assert list(found) == keys_of(count)
        for place, seen in enumerate(seen_by):
            assert place not in seen and seen, place
        assert all(len(seen) == count - 1 for seen in seen_by) is alone

    def test_findings_are_in_the_order_of_the_images(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, found = self.found(5, monkeypatch)
        assert [len(one.objects) for one in found.values()] == [0, 1, 2, 3, 4]

    def test_a_lone_image_is_looked_at_with_what_is_known_without_it(self) -> None:
        detector = base()
        start = start_head(detector, LABELS, {label: [label] for label in LABELS})
        regions = drawn_objects(detector, 1)
        heads = left_out.left_out_heads(regions, start)
        [one] = left_out.left_out_findings(detector, Pictures(1), ["a"], heads).values()
        [expected] = findings_of(provisional_detector(detector, start, BASE), Pictures(1))
        assert one.results == expected.results and one.results


class TestOperatingPoint:
    """It is chosen as if the images were looked at again."""

    @pytest.mark.parametrize("count", [1, 2, 5])
    @pytest.mark.parametrize("effort", [Effort(), Effort(delete=0.01), Effort(draw_box=1000)])
    def test_by_boxes_it_is_the_one_of_the_left_out_findings(self, count: int, effort: Effort) -> None:
        detector, images = base(), Drawn(base(), count)
        start = start_head(detector, images.labels, {})
        regions = [regions_of_example(detector, images[place], images.labels) for place in range(count)]
        heads = left_out.left_out_heads(regions, start)
        found = left_out.left_out_findings(detector, images, keys_of(count), heads)
        expected = judged_at_own_point(found, images.labels, effort, 0.3).thresholds
        thresholds = head_thresholds(regions, heads, images.labels, detector.engine.config, effort, 0.3)
        assert thresholds == expected
        assert count > 1 or set(thresholds.values()) == {0.3}, "one image alone tells nothing"

    def test_outlines_are_worth_more_wrong_regions(self) -> None:
        detector, images = base(), Drawn(base(), 5)
        regions = [regions_of_example(detector, images[place], images.labels) for place in range(5)]
        outlined = [replace(one, outlined=np.ones(2, bool)) for one in regions]
        heads = left_out.left_out_heads(regions, start_head(detector, images.labels, {}))
        boxes, outlines = (
            head_thresholds(some, heads, images.labels, detector.engine.config, Effort(), 0.3)
            for some in (regions, outlined)
        )
        assert all(outlines[label] <= boxes[label] for label in boxes) and outlines != boxes


class Drawn:
    """Scenes in which the network's first proposal is a `bolt`, its last a `nut`."""

    labels = ("bolt", "nut")

    def __init__(self, detector: Detector, count: int) -> None:
        self._detector, self._count = detector, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Example:
        features = self._detector.set_image(scene(index, (128, 160)))
        boxes = features.encoded.proposals[[0, -1]] * features.scale
        return Example(scene(index, (128, 160)), boxes, np.arange(2), None)


def keys_of(count: int) -> list[str]:
    return [f"image {place}" for place in range(count)]


class Pictures:
    """Scenes, the n-th with n objects."""

    labels = ("bolt", "nut")

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Example:
        boxes = np.array([[0, 0, 9, 9]] * index, np.float32).reshape(-1, 4)
        return Example(scene(index, (128, 160)), boxes, np.zeros(index, np.int64), None)


class TestDetector:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_engines_agree(self, name: str) -> None:
        engines = pair(name)
        detector = Detector(engines.torch, LABELS, BASE)
        head = fit_head(drawn_objects(detector), start_head(detector, ("nut", "bolt"), {}))
        found, expected = (
            provisional_detector(Detector(engine, LABELS, BASE), head, "early").predict(
                [scene(seed, (128, 160)) for seed in range(6)]
            )
            for engine in (engines.onnx, engines.torch)
        )
        check_agreement(found, expected, least=6)
        assert {name for one in found for name in one.labels} == {"nut", "bolt"}

    def test_thresholds_and_masks_are_as_wanted(self) -> None:
        head = fitted(drawn_objects(base()), "nut", "bolt")
        detector = provisional_detector(base(), head, "early")
        assert detector.version == "early" and detector.has_masks
        [everything] = detector.predict([scene(0, (128, 160))])
        bolts = np.sort(everything.scores[[label == "bolt" for label in everything.labels]])
        least, masked = float(bolts[1]), float(bolts[-1])
        [some] = detector.predict([scene(0, (128, 160))], {"bolt": least}, {"bolt": masked})
        assert set(some.labels) == {"bolt"} and len(some) == len(bolts) - 1 < len(everything)
        assert some.masks is not None
        assert [bool(mask.area) for mask in some.masks] == [True] + [False] * (len(some) - 1)

    def test_a_head_of_other_weights_is_refused(self) -> None:
        head = replace(fitted(drawn_objects(base()), "bolt"), base="other-2")
        with pytest.raises(ValueError, match="belongs to other-2, not to base-1"):
            provisional_detector(base(), head, "early")


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    head = replace(fitted(drawn_objects(base()), "nut", "bolt"), thresholds={"nut": 0.4})
    write_head(head, tmp_path / "head")
    again = read_head(tmp_path / "head")
    assert (again.labels, again.base, again.images) == (("nut", "bolt"), BASE, 6)
    assert again.thresholds == {"nut": 0.4}
    assert np.array_equal(again.weight, head.weight) and np.array_equal(again.bias, head.bias)
    (tmp_path / "head").write_bytes(b"x")
    with pytest.raises(WeightsError, match="holds no provisional version"):
        read_head(tmp_path / "head")
