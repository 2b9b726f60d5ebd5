"""The drawn scenes: their labels are exact, and they are as varied as training needs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fbnetv3.scenes import SCENE_LABELS, Scene, generate_scene
from fbnetv3.scenes.objects import OBJECT_CLASSES, ObjectClass
from fbnetv3.scenes.scene import LEAST_AREA, Light, _make_sprite

SMALL = (240, 320)
STEP = (-1, 0, 1)


@cache
def small_scenes() -> tuple[Scene, ...]:
    return tuple(generate_scene(seed, SMALL) for seed in range(60))


def as_bytes(scene: Scene) -> bytes:
    masks = b"".join(mask.bitmap.tobytes() for mask in scene.masks)
    return scene.image.tobytes() + scene.boxes.tobytes() + scene.classes.tobytes() + masks


def owners(scene: Scene) -> np.ndarray:
    """Which object a pixel belongs to, from 1; 0 is the background."""
    owner = np.zeros(SMALL, int)
    for number, mask in enumerate(scene.masks, 1):
        owner[mask.full(SMALL)] = number
    return owner


def test_the_same_seed_and_size_give_the_same_bytes() -> None:
    generate_scene(8, SMALL)
    assert as_bytes(generate_scene(7)) == as_bytes(generate_scene(7))


def test_another_seed_gives_another_picture() -> None:
    assert len({scene.image.tobytes() for scene in small_scenes()}) == len(small_scenes())


def test_types_and_shapes() -> None:
    for scene in small_scenes():
        count = len(scene.masks)
        assert scene.image.shape == (*SMALL, 3) and scene.image.dtype == np.uint8
        assert scene.boxes.shape == (count, 4) and scene.boxes.dtype == np.float32
        assert scene.classes.shape == (count,) and scene.classes.dtype == np.int64
        assert 1 <= count <= 8
        assert scene.classes.min() >= 0 and scene.classes.max() < len(SCENE_LABELS)


def test_no_pixel_belongs_to_two_objects() -> None:
    for scene in small_scenes():
        claims = np.sum([mask.full(SMALL) for mask in scene.masks], axis=0)
        assert claims.max() == 1


def test_boxes_are_tight_around_the_visible_masks() -> None:
    for scene in small_scenes():
        for box, mask in zip(scene.boxes, scene.masks, strict=True):
            rows, columns = np.nonzero(mask.full(SMALL))
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert mask.area >= LEAST_AREA


def test_every_class_occurs() -> None:
    seen = {int(index) for scene in small_scenes() for index in scene.classes}
    assert seen == set(range(len(SCENE_LABELS)))


def test_some_objects_hide_part_of_others() -> None:
    """Where one object lies on another, their masks touch: neighbouring pixels have different owners."""
    touching = 0
    for scene in small_scenes():
        owner = owners(scene)
        left, right = owner[:, :-1], owner[:, 1:]
        touching += bool(((left > 0) & (right > 0) & (left != right)).any())
    assert touching >= 10


@pytest.mark.parametrize("kind", OBJECT_CLASSES, ids=SCENE_LABELS)
def test_an_object_fits_its_patch_and_has_no_stray_pixel(kind: ObjectClass) -> None:
    """Nothing is cut off at the edge of the patch, and no lone pixel loosens the box."""
    light = Light((0.0, -0.6, 0.8), 0.4, np.ones(3, np.float32))
    for seed in range(20):
        mask = _make_sprite(kind, (100.0, 100.0), 60.0, light, np.random.default_rng(seed)).mask
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
        padded = np.pad(mask, 1)
        around = sum(np.roll(padded, (down, right), (0, 1)).astype(int) for down in STEP for right in STEP)
        assert not (padded & (around == 1)).any()
        assert mask.sum() > 0.1 * 120**2


def test_an_object_differs_from_what_it_lies_on() -> None:
    """The mask follows the picture: colour changes more across its outline than elsewhere."""
    contrast = []
    for scene in small_scenes()[:20]:
        owner = owners(scene)
        step = np.abs(np.diff(scene.image.astype(int), axis=1)).sum(2)
        outline = owner[:, 1:] != owner[:, :-1]
        contrast.append(step[outline].mean() / step[~outline].mean())
    assert np.median(contrast) > 3


def test_many_seeds_at_the_smallest_size() -> None:
    """Where objects crowd most, none of them leaves the picture and none goes without a mask."""
    for seed in range(150):
        scene = generate_scene(seed, (128, 128))
        assert 1 <= len(scene.masks) <= 8
        assert min(mask.area for mask in scene.masks) >= LEAST_AREA
        assert scene.boxes.min() >= 0 and scene.boxes.max() <= 128


@pytest.mark.parametrize("size", [(128, 600), (900, 300), (1200, 1600)])
def test_any_size_and_orientation(size: tuple[int, int]) -> None:
    scenes = [generate_scene(seed, size) for seed in range(1 if max(size) > 1000 else 6)]
    for scene in scenes:
        assert scene.image.shape == (*size, 3)
        assert len(scene.masks) >= 1
        assert (scene.boxes[:, :2] >= 0).all()
        assert (scene.boxes[:, 2:] <= (size[1], size[0])).all()


def test_objects_grow_with_the_picture() -> None:
    small, large = generate_scene(3, (300, 400)), generate_scene(3, (600, 800))
    ratio = sum(mask.area for mask in large.masks) / sum(mask.area for mask in small.masks)
    assert 3 < ratio < 5


@pytest.mark.parametrize("size", [(127, 640), (480, 3001), (0, 0), (480,), (480, 640, 3)])
def test_a_bad_size_is_refused_in_one_sentence(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^A scene is 128 to 3000 pixels high and wide, not \(.*\)\.$"):
        generate_scene(0, size)  # type: ignore[arg-type]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^The seed of a scene is 0 or more, not -1\.$"):
        generate_scene(-1)
