"""Labels stay true when images change size or are mirrored."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from small_networks import labelled_image

from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.images import network_size, to_network
from fbnetv3.instances import BoxMask
from fbnetv3.network.targets import Bitmaps, Polygons, Target
from fbnetv3.training.augmentation import augment, mirror, to_target


@cache
def scene(index: int) -> Example:
    return SceneExamples(0, 100, (128, 160))[index]


def pixels_of(target: Target) -> np.ndarray:
    assert isinstance(target.masks, Bitmaps)
    return target.masks.pixels.numpy()


def tight_boxes(target: Target) -> np.ndarray:
    """(m, 4) around the masks."""
    boxes = []
    for mask in pixels_of(target):
        rows, columns = np.nonzero(mask)
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return np.array(boxes, np.float32)


class TestAugmentation:
    def test_at_the_images_own_size_masks_fit_their_boxes(self) -> None:
        for index in range(10):
            example = scene(index)
            target = to_target(example, example.image.shape[:2])
            assert np.array_equal(tight_boxes(target), target.boxes.numpy())
            assert np.array_equal(target.classes.numpy(), example.classes)

    @pytest.mark.parametrize("size", [(64, 80), (96, 130), (200, 250)], ids=str)
    def test_resized_masks_stay_in_their_boxes(self, size: tuple[int, int]) -> None:
        """To a pixel: thin ends may vanish from the mask, but it never grows and does not shift."""
        outward = []
        for index in range(20):
            target = to_target(scene(index), size)
            assert pixels_of(target).shape[1:] == size
            outward.append((tight_boxes(target) - target.boxes.numpy()) * (-1, -1, 1, 1))
        edges = np.concatenate(outward)
        assert edges.max() <= 0.75
        assert (edges >= -1).mean() > 0.9
        assert np.abs((edges[:, 2:] - edges[:, :2]).mean(0)).max() < 0.2

    def test_boxes_scale_with_height_and_width_apart(self) -> None:
        example = Example(
            np.zeros((10, 20, 3), np.uint8), np.array([[2, 1, 10, 5]], np.float32), np.array([0]), None
        )
        target = to_target(example, (30, 40))
        assert target.boxes.tolist() == [[4, 3, 20, 15]] and target.masks is None

    def test_an_empty_mask_is_one_that_is_not_known(self) -> None:
        bitmap = np.ones((2, 3), bool)
        example = Example(
            np.zeros((10, 20, 3), np.uint8),
            np.array([[2, 1, 5, 3], [4, 4, 8, 8]], np.float32),
            np.array([0, 0]),
            (BoxMask(2, 1, bitmap), BoxMask(0, 0, np.zeros((0, 0), bool))),
        )
        target = to_target(example, (10, 20))
        _, mirrored = mirror(torch.zeros(3, 10, 20), target)
        assert target.mask_known.tolist() == mirrored.mask_known.tolist() == [True, False]
        assert pixels_of(target)[0].sum() == 6

    def test_no_objects(self) -> None:
        example = Example(
            np.zeros((10, 20, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ()
        )
        target = to_target(example, (30, 40))
        assert target.boxes.shape == (0, 4) and pixels_of(target).shape == (0, 30, 40)

    def test_the_mirror_image_of_the_mirror_image_is_the_image(self) -> None:
        image, target = labelled_image((48, 63))
        once = mirror(image, target)
        assert not torch.equal(once[0], image) and not torch.equal(once[1].boxes, target.boxes)
        twice, restored = mirror(*once)
        assert torch.equal(twice, image)
        assert torch.allclose(restored.boxes, target.boxes, atol=1e-4)
        assert np.array_equal(pixels_of(restored), pixels_of(target))

    def test_mirrored_masks_fit_mirrored_boxes(self) -> None:
        for index in range(10):
            example = scene(index)
            size = example.image.shape[:2]
            image, target = mirror(
                torch.from_numpy(to_network(example.image, size)), to_target(example, size)
            )
            assert np.array_equal(tight_boxes(target), target.boxes.numpy())
            assert np.array_equal(image.numpy(), to_network(example.image[:, ::-1], size))

    def test_mirroring_leaves_the_argument_alone(self) -> None:
        image, target = labelled_image()
        before = target.boxes.clone(), image.clone()
        mirror(image, target)
        assert torch.equal(target.boxes, before[0]) and torch.equal(image, before[1])

    def test_polygons_are_mirrored_too(self) -> None:
        """An object at the left, as an outline, must be found at the right."""
        outline = np.array([0, 0, 10, 0, 10, 20, 0, 20], np.float64)
        target = Target(torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([0]), Polygons([[outline]]))
        _, mirrored = mirror(torch.zeros(3, 20, 40), target)
        assert mirrored.boxes.tolist() == [[30, 0, 40, 20]] and mirrored.masks is not None
        assert mirrored.masks.crop(mirrored.boxes, torch.tensor([0]), 28).all()

    @pytest.mark.parametrize("flip", [0.0, 1.0])
    def test_an_augmented_example(self, flip: float) -> None:
        example = scene(3)
        assert example.image.shape == (128, 160, 3)
        sizes = set()
        for seed in range(12):
            image, target = augment(example, (64, 96), 110, flip, np.random.default_rng(seed))
            size = image.shape[1], image.shape[2]
            pixels = example.image[:, ::-1] if flip else example.image
            assert size in {network_size(128, 160, side, 110) for side in (64, 96)}
            plain = to_target(example, size)
            assert torch.allclose(target.boxes, mirror(image, plain)[1].boxes if flip else plain.boxes)
            if not flip:
                assert np.array_equal(image, to_network(pixels, size))
            sizes.add(size)
        assert len(sizes) == 2

    def test_about_the_wanted_share_is_mirrored(self) -> None:
        example = scene(3)
        upright = to_target(example, (64, 80)).boxes
        rng = np.random.default_rng(0)
        mirrored = sum(
            not torch.allclose(augment(example, (64,), 96, 0.25, rng)[1].boxes, upright) for _ in range(80)
        )
        assert 8 <= mirrored <= 32
