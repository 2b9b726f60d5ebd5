"""ONNX Runtime finds what PyTorch finds, and both no more than what is wanted."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_networks import NETWORKS, check_agreement, pair, scene
from reference import SHARED, arrays, assert_close, needs_shared
from small_networks import LABELS, small_network

from fbnetv3 import Detector, Instances
from fbnetv3.detector import NO_MASK
from fbnetv3.engines.engine import NetworkOutput, Wanted
from fbnetv3.engines.export import export
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.images import to_network

ALL = Wanted(np.zeros(len(LABELS), np.float32), np.zeros(len(LABELS), np.float32))
NOTHING = np.full(len(LABELS), np.inf, np.float32)


class TestSmallNetworks:
    """Whole networks, through the detector."""

    @pytest.mark.parametrize("name", NETWORKS)
    def test_engines_agree(self, name: str) -> None:
        sizes = [(128, 160), (150, 130), (131, 211), (257, 128), (128, 128)]
        images = [scene(seed, size) for seed, size in enumerate(sizes)]
        found, expected = pair(name).predict(images)
        check_agreement(found, expected, least=10)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.image_size == theirs.image_size and ours.label_names == theirs.label_names
            assert ours.classes.dtype == theirs.classes.dtype == np.int64
            assert ours.scores.dtype == ours.boxes.dtype == np.float32
            assert (np.diff(ours.scores) <= 0).all()

    def test_threads_share_an_engine(self) -> None:
        detector = Detector(pair("C4").onnx, LABELS, "1")
        images = [scene(seed, (128, 160)) for seed in range(4)]
        expected = detector.predict(images)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda i: detector.predict([images[i % 4]])[0], range(12)))
        for i, one in enumerate(found):
            assert np.array_equal(one.boxes, expected[i % 4].boxes)
            assert np.array_equal(one.scores, expected[i % 4].scores)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_nothing_scores_enough(self, name: str) -> None:
        image = to_network(scene(0, (128, 160)), (64, 80))
        for engine in (pair(name).onnx, pair(name).torch):
            [found] = engine.detect(engine.encode([image]), Wanted(NOTHING, NOTHING))
            assert shapes_of(found) == shapes(0, 2 * engine.config.mask_pooler_resolution)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_there_are_no_proposals(self, name: str) -> None:
        """Where nothing that the network computes is finite."""
        for engine in (pair(name).onnx, pair(name).torch):
            [found] = engine.detect(engine.encode([np.full((3, 64, 80), np.nan, np.float32)]), ALL)
            assert shapes_of(found) == shapes(0, 2 * engine.config.mask_pooler_resolution)

    def test_the_shapes_of_what_is_found(self) -> None:
        image = to_network(scene(0, (128, 160)), (64, 80))
        for engine in (pair("C4").onnx, pair("C4").torch):
            [found] = engine.detect(engine.encode([image]), ALL)
            count = len(found.boxes)
            assert count > 3
            assert shapes_of(found) == shapes(count, 28)


def shapes(count: int, side: int) -> list[tuple[tuple[int, ...], Any]]:
    """Of boxes, scores, classes, masked and mask probabilities, with their types."""
    return [
        ((count, 4), np.float32),
        ((count,), np.float32),
        ((count,), np.int64),
        ((count,), bool),
        ((count, side, side), np.float32),
    ]


def shapes_of(found: NetworkOutput) -> list[tuple[tuple[int, ...], Any]]:
    assert found.mask_probabilities is not None
    fields = (found.boxes, found.scores, found.classes, found.masked, found.mask_probabilities)
    return [(array.shape, array.dtype) for array in fields]


class CountedSession:
    """A graph that counts how often it runs, and on how many boxes."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.boxes: list[int] = []

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.boxes.append(len(inputs["boxes"]))
        return self.session.run(outputs, inputs)


class TestWanted:
    """Only what is wanted is reported, and only what is shown gets a mask."""

    IMAGES = (scene(5, (128, 160)), scene(6, (150, 130)))

    def everything(self) -> list[Instances]:
        found, expected = pair("C4-GN").predict(list(self.IMAGES))
        check_agreement(found, expected, least=8)
        assert {int(label) for one in found for label in one.classes} == {0, 2}
        return found

    @pytest.mark.parametrize("wanted", [("bolt",), ("gear",), ("bolt", "gear")])
    def test_every_class_has_its_threshold(self, wanted: tuple[str, ...]) -> None:
        """The better half of the bolts, the best fifth of the gears; of a label without a threshold, nothing."""
        everything = self.everything()
        scores = np.concatenate([one.scores for one in everything])
        classes = np.concatenate([one.classes for one in everything])
        limits = np.full(len(LABELS), np.inf)
        for label, share in (("bolt", 0.5), ("gear", 0.8)):
            if label in wanted:
                index = LABELS.index(label)
                limits[index] = np.quantile(scores[classes == index], share) + 1e-4
        expected = [one.select(one.scores >= limits[one.classes]) for one in everything]
        assert {label for one in expected for label in one.labels} == set(wanted)
        thresholds = {label: limits[LABELS.index(label)] for label in wanted}
        for found in pair("C4-GN").predict(list(self.IMAGES), score_threshold=thresholds):
            check_agreement(found, expected, least=2)

    def test_no_label_is_wanted(self) -> None:
        for found in pair("C4-GN").predict(list(self.IMAGES), score_threshold={}):
            assert [len(one) for one in found] == [0, 0] and all(one.masks == () for one in found)

    def test_labels_that_the_network_does_not_know_are_no_matter(self) -> None:
        for found in pair("C4-GN").predict(list(self.IMAGES), score_threshold={"unicorn": 0.0}):
            assert [len(one) for one in found] == [0, 0]

    def test_masks_of_one_label(self) -> None:
        everything = self.everything()
        for found in pair("C4-GN").predict(list(self.IMAGES), mask_threshold={"bolt": 0.0}):
            masked = [one.select(one.classes == 0) for one in found]
            check_agreement(masked, [one.select(one.classes == 0) for one in everything], least=2)
            assert all(mask is not NO_MASK for one in masked for mask in one.masks or ())
            others = [mask for one in found for mask in one.select(one.classes != 0).masks or ()]
            assert others and all(mask is NO_MASK for mask in others)
            assert [len(one) for one in found] == [len(one) for one in everything]

    def test_masks_from_a_score_on(self) -> None:
        everything = self.everything()
        middle = float(np.median(np.concatenate([one.scores for one in everything]))) + 1e-3
        for found in pair("C4-GN").predict(list(self.IMAGES), mask_threshold=middle):
            for ours, theirs in zip(found, everything, strict=True):
                strong = ours.scores >= middle
                assert ours.masks is not None and 0 < strong.sum() < len(ours) == len(theirs)
                assert [mask is not NO_MASK for mask in ours.masks] == strong.tolist()
                check_agreement([ours.select(strong)], [theirs.select(strong)], least=1)

    def test_the_mask_graph_runs_only_on_what_is_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        everything = self.everything()
        engine = pair("C4-GN").onnx
        counted = CountedSession(engine._masks)
        monkeypatch.setattr(engine, "_masks", counted)
        detector = Detector(engine, LABELS, "1")
        detector.predict(self.IMAGES, mask_threshold={})
        detector.predict(self.IMAGES, score_threshold=1.0)
        assert counted.boxes == []
        detector.predict(self.IMAGES, mask_threshold={"gear": 0.0})
        assert counted.boxes == [n for one in everything if (n := int((one.classes == 2).sum()))]


STARTER_SIZES = ((480, 640), (640, 480), (333, 500), (500, 250))


class TestStarter:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"min_size": 224, "max_size": 320, "post_nms_proposals_test": 30},
            {"min_size": 331, "max_size": 517, "post_nms_proposals_test": 300, "score_threshold": 0.01},
        ],
        ids=["default", "zoo", "large"],
    )
    def test_engines_agree(self, options: dict[str, Any]) -> None:
        images = [scene(100 + seed, size) for seed, size in enumerate(STARTER_SIZES)]
        ours = Detector.load("starter", engine="onnxruntime", **options)
        theirs = Detector.load("starter", engine="torch", **options)
        assert (ours.engine.name, theirs.engine.name) == ("onnxruntime", "torch")
        assert (ours.labels, ours.version) == (theirs.labels, theirs.version)
        assert ours.engine.config == theirs.engine.config
        check_agreement(ours.predict(images), theirs.predict(images), least=20)


#: The zoo's own, as recorded.
ZOO_SETTINGS = {
    "num_classes": 80,
    "pre_nms_proposals_test": 1000,
    "post_nms_proposals_test": 30,
    "detections_per_image": 100,
}
#: File below ../shared, and recorded images of the original with these weights.
RECORDED = {
    "weights/faster_rcnn_fbnetv3a_dsmask_C4_coco_dequantized.pth": ("coco/test1", "coco/test2", "coco/test3"),
    "reference/mask_rcnn_fbnetv3a_dsmask_C4_seed0.pth": ("mask_test2", "mask_rand240x352"),
}


@needs_shared
@pytest.mark.parametrize("file", RECORDED, ids=["coco", "seed0"])
def test_it_finds_what_the_original_found(file: str, tmp_path: Path) -> None:
    """See test_parity.py, which holds PyTorch to the same."""
    name = Path(file).name.split("_C4")[0] + "_C4"
    model = small_network(name, **ZOO_SETTINGS).eval()
    model.load_state_dict(torch.load(SHARED / file, weights_only=True)["model"])
    export(model, tmp_path)
    for recorded in RECORDED[file]:
        want = arrays(recorded)
        height, width = want["resized_bgr_u8"].shape[:2]
        sizes = {"min_size": min(height, width), "max_size": max(height, width)}
        engine = OnnxEngine(tmp_path, model.config.model_copy(update=sizes))
        image = np.ascontiguousarray(want["orig_bgr_u8"][:, :, ::-1])
        [found] = Detector(engine, [str(i) for i in range(80)], "1").predict([image])
        assert_close(found.boxes, want["final_boxes"], "boxes")
        assert_close(found.scores, want["final_scores"], "scores")
        assert np.array_equal(found.classes, want["final_classes"])
        assert (found.masks is None) == ("final_masks_shape" not in want)
        if found.masks is not None:
            shape = tuple(want["final_masks_shape"])
            masks = np.unpackbits(want["final_masks_packed"])[: np.prod(shape)].reshape(shape).astype(bool)
            ours = np.stack([mask.full(found.image_size) for mask in found.masks])
            assert (ours != masks).sum() <= 50


def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    code = "import fbnetv3.engines.onnx_engine"
    subprocess.run([sys.executable, "-B", "-c", code], env=kept | own, check=True)
    assert list(tmp_path.rglob("*")) == []
