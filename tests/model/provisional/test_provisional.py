"""A provisional detector: what it is fitted to, what it finds, on either engine, and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exported_networks import NETWORKS, check_agreement, pair, scene
from small_networks import LABELS

from fbnetv3 import Detector
from fbnetv3.provisional import (
    LabelledRegions,
    RegionHead,
    fit_head,
    labelled_regions,
    provisional_detector,
    read_head,
    read_regions,
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
        assert len(regions.vectors) == len(regions.owners) <= len(features.encoded.proposals) + 1

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
        assert np.array_equal(again.vectors, regions.vectors)
        assert np.array_equal(again.owners, regions.owners)
        (tmp_path / "regions").write_bytes(b"x")
        with pytest.raises(WeightsError, match="holds no labelled regions"):
            read_regions(tmp_path / "regions")


class TestFitting:
    def test_what_was_labelled_is_found_again(self) -> None:
        detector = base()
        regions = drawn_objects(detector)
        head = fitted(regions, "nut", "bolt", "never seen")
        vectors = np.concatenate([one.vectors for one in regions]).astype(np.float32)
        names = np.array(["bolt", "nut", None])[np.concatenate([one.owners for one in regions])]
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
        [some] = detector.predict([scene(0, (128, 160))], {"bolt": 0.5}, {"bolt": 0.9})
        assert set(some.labels) == {"bolt"} and (some.scores >= 0.5).all()
        assert len(some) < len(everything)
        assert some.masks is not None
        assert [bool(mask.area) for mask in some.masks] == (some.scores >= 0.9).tolist()

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
