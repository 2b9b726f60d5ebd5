"""Prompts on drawn scenes, whose masks are known, and on what nobody should have drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.instances import Instances
from fbnetv3.prompts.boxes import threshold_in_box
from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from fbnetv3.weights import load_checkpoint

SCENES = range(900, 906)


@cache
def detector() -> Detector:
    return Detector.load("starter", threads=1)


@cache
def boxes_only() -> Detector:
    return Detector.load(load_checkpoint("starter").without_masks(), threads=1)


@cache
def seen(seed: int) -> tuple[Scene, ImageFeatures]:
    scene = generate_scene(seed, (240, 320))
    return scene, detector().set_image(scene.image)


def objects() -> list[tuple[Scene, ImageFeatures, int]]:
    """Those that can be seen well."""
    return [
        (*seen(seed), number)
        for seed in SCENES
        for number in range(len(seen(seed)[0].boxes))
        if seen(seed)[0].masks[number].area > 400
    ]


def overlap(found: Instances, scene: Scene, number: int) -> float:
    """IoU of the found mask with the object's; 0 where nothing was found."""
    if not len(found):
        return 0.0
    assert found.masks is not None
    size = scene.image.shape[:2]
    ours, theirs = found.masks[0].full(size), scene.masks[number].full(size)
    return float((ours & theirs).sum() / (ours | theirs).sum())


def middle(scene: Scene, number: int) -> np.ndarray:
    """A pixel (1, 2) of the object: that of its mask nearest to the mask's mean."""
    rows, columns = np.nonzero(scene.masks[number].full(scene.image.shape[:2]))
    pixels = np.stack([columns, rows], 1) + 0.5
    return pixels[[np.linalg.norm(pixels - pixels.mean(0), axis=1).argmin()]]


def label_of(scene: Scene, number: int) -> list[str]:
    return [SCENE_LABELS[scene.classes[number]]]


class TestBoxes:
    def test_the_mask_is_the_objects(self) -> None:
        found = [
            overlap(detector().mask_in_box(features, scene.boxes[n], label_of(scene, n)), scene, n)
            for scene, features, n in objects()
        ]
        assert len(found) > 8 and np.mean(found) > 0.75

    def test_without_a_label_it_is_read_as_the_likeliest(self) -> None:
        found = [
            overlap(detector().mask_in_box(features, scene.boxes[n]), scene, n)
            for scene, features, n in objects()
        ]
        assert np.mean(found) > 0.7

    def test_the_class_is_one_of_the_labels(self) -> None:
        scene, features = seen(SCENES[0])
        for label in SCENE_LABELS:
            assert detector().mask_in_box(features, scene.boxes[0], [label]).labels == [label]

    def test_the_box_of_the_instance_is_that_of_its_mask(self) -> None:
        scene, features, number = objects()[0]
        found = detector().mask_in_box(features, scene.boxes[number])
        rows, columns = np.nonzero(found.masks[0].full(found.image_size))
        assert found.boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert 0 < found.scores[0] <= 1

    @pytest.mark.parametrize("box", [(50, 50, 50, 80), (500, 10, 600, 90), (-40, -40, -10, -5)])
    def test_a_box_of_nothing_gives_nothing(self, box: tuple[int, ...]) -> None:
        _, features = seen(SCENES[0])
        assert len(detector().mask_in_box(features, np.array(box))) == 0

    def test_a_box_over_the_edge_is_cut(self) -> None:
        scene, features, number = min(objects(), key=lambda one: one[0].boxes[one[2], 0])
        found = detector().mask_in_box(features, np.array([-40, *scene.boxes[number, 1:]]))
        assert len(found) == 1 and found.boxes[0, 0] >= 0

    def test_the_same_prompt_gives_the_same_mask(self) -> None:
        """Also after others: the colours of an edge are clustered from a random start."""
        scene, features, number = objects()[0]
        first = detector().mask_in_box(features, scene.boxes[number]).masks[0]
        detector().mask_at_points(features, middle(scene, number), np.array([True]))
        second = detector().mask_in_box(features, scene.boxes[number]).masks[0]
        assert np.array_equal(first.bitmap, second.bitmap)

    def test_the_engines_agree(self) -> None:
        torch = Detector.load("starter", engine="torch", threads=1)
        assert isinstance(detector().engine, OnnxEngine)
        for scene, features, number in objects()[:4]:
            theirs = torch.mask_in_box(torch.set_image(scene.image), scene.boxes[number])
            ours = detector().mask_in_box(features, scene.boxes[number])
            assert np.abs(ours.boxes - theirs.boxes).max() <= 2
            assert ours.scores == pytest.approx(theirs.scores, abs=1e-3)

    def test_without_masks_a_sloppy_box_comes_nearer(self) -> None:
        before, after = [], []
        for scene, _, number in objects():
            features = boxes_only().set_image(scene.image)
            box = scene.boxes[number]
            drawn = (box + 0.15 * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)).clip(
                0, [320, 240, 320, 240]
            )
            found = boxes_only().mask_in_box(features, drawn, label_of(scene, number))
            assert found.masks is None
            before.append(np.abs(drawn - box).mean())
            after.append(np.abs(found.boxes[0] - box).mean())
        assert np.mean(after) < 0.8 * np.mean(before)


class TestClicks:
    def test_the_mask_is_the_objects(self) -> None:
        found = [
            overlap(
                detector().mask_at_points(features, middle(scene, n), np.array([True]), label_of(scene, n)),
                scene,
                n,
            )
            for scene, features, n in objects()
        ]
        assert np.mean(found) > 0.65

    def test_the_mask_holds_the_positive_clicks_and_no_other(self) -> None:
        """Whatever is clicked."""
        random = np.random.default_rng(0)
        answered = 0
        for scene, features, number in objects():
            points = np.concatenate([middle(scene, number), random.uniform((0, 0), (320, 240), (2, 2))])
            positive = np.array([True, False, False])
            found = detector().mask_at_points(features, points, positive)
            answered += len(found)
            for mask in found.masks:
                columns, rows = np.floor(points).astype(int).T
                assert (mask.full(found.image_size)[rows, columns] == positive).all()
        assert answered > 5

    def test_clicks_on_two_far_objects_are_no_object(self) -> None:
        _, features = seen(SCENES[0])
        points = np.array([[2.0, 2.0], [317.0, 237.0], [2.0, 237.0], [317.0, 2.0]])
        assert len(detector().mask_at_points(features, points, np.array([True] * 4))) == 0

    def test_a_click_on_an_empty_image_gives_nothing(self) -> None:
        features = detector().set_image(np.full((240, 320, 3), 127, np.uint8))
        assert len(detector().mask_at_points(features, np.array([[160.0, 120.0]]), np.array([True]))) == 0

    def test_no_positive_click_gives_nothing(self) -> None:
        scene, features, number = objects()[0]
        assert len(detector().mask_at_points(features, middle(scene, number), np.array([False]))) == 0

    def test_without_masks_the_box_holds_the_click(self) -> None:
        scene, _, number = objects()[0]
        point = middle(scene, number)
        found = boxes_only().mask_at_points(boxes_only().set_image(scene.image), point, np.array([True]))
        assert len(found) == 1 and found.masks is None
        assert (found.boxes[0, :2] <= point[0]).all() and (point[0] <= found.boxes[0, 2:]).all()


class TestFeatures:
    def test_found_in_set_images_is_what_predict_finds(self) -> None:
        scenes = [
            generate_scene(seed, size).image
            for seed, size in ((1, (240, 320)), (2, (320, 240)), (3, (240, 320)))
        ]
        for ours, theirs in zip(
            detector().find(detector().set_images(scenes)), detector().predict(scenes), strict=True
        ):
            assert np.array_equal(ours.boxes, theirs.boxes) and np.array_equal(ours.scores, theirs.scores)

    def test_what_is_kept_is_counted(self) -> None:
        _, features = seen(SCENES[0])
        assert features.nbytes >= features.pixels.nbytes + next(iter(features.maps.values())).nbytes


class TestBoxPrior:
    def test_a_sure_mask_is_cut_at_one_half(self) -> None:
        mask = np.zeros((28, 28), np.float32)
        mask[1:27, 1:27] = 0.99
        assert threshold_in_box(mask) == pytest.approx(0.5)

    def test_an_unsure_mask_that_fills_its_box_is_cut_lower(self) -> None:
        mask = np.full((28, 28), 0.3, np.float32)
        mask[10:18, 10:18] = 0.9
        assert threshold_in_box(mask) == pytest.approx(0.3)

    def test_nothing_is_no_reason_to_go_lower(self) -> None:
        assert threshold_in_box(np.zeros((28, 28), np.float32)) == pytest.approx(0.5)
