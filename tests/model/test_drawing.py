"""Pictures for people: every instance shows, and the image that was given stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fbnetv3.drawing import MASK_OPACITY, class_colour, draw
from fbnetv3.instances import BoxMask, Instances

LABELS = ("bolt", "nut", "gear")
SIZE = (120, 160)
GREY = np.full((*SIZE, 3), 100, np.uint8)


def instances(
    *boxes: tuple[float, ...], classes: tuple[int, ...] = (0, 1, 2), masks: bool = True
) -> Instances:
    """One instance per box, best first; its mask is the box."""
    pixels = tuple(
        BoxMask(int(x0), int(y0), np.ones((int(y1 - y0), int(x1 - x0)), bool)) for x0, y0, x1, y1 in boxes
    )
    return Instances(
        SIZE,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
        np.array(classes[: len(boxes)], np.int64),
        LABELS,
        pixels if masks else None,
    )


def blend(*classes: int) -> np.ndarray:
    """The colour of the grey image under masks of these classes, the last one on top."""
    colour = np.array([100.0] * 3)
    for index in classes:
        colour = (1 - MASK_OPACITY) * colour + MASK_OPACITY * np.array(class_colour(index))
    return colour


def near(pixel: np.ndarray, colour: object) -> bool:
    return bool(np.abs(pixel.astype(float) - colour).max() <= 2)


class TestImage:
    @pytest.mark.parametrize("masks", [True, False], ids=["masks", "no masks"])
    def test_an_array_stays_as_it_was(self, masks: bool) -> None:
        image = GREY.copy()
        picture = draw(image, instances((20, 40, 100, 100), masks=masks))
        assert (image == 100).all()
        assert picture.mode == "RGB" and picture.size == (160, 120)
        assert not np.array_equal(np.asarray(picture), image)

    def test_a_pil_image_stays_as_it_was(self) -> None:
        image = Image.fromarray(GREY)
        draw(image, instances((20, 40, 100, 100)))
        assert (np.asarray(image) == 100).all()

    def test_a_file(self, tmp_path: Path) -> None:
        Image.fromarray(GREY).save(tmp_path / "photo.png")
        picture = draw(tmp_path / "photo.png", instances((20, 40, 100, 100)))
        assert near(np.asarray(picture)[70, 60], blend(0))

    def test_a_grey_array(self) -> None:
        picture = draw(GREY[:, :, 0], instances((20, 40, 100, 100)))
        assert near(np.asarray(picture)[70, 60], blend(0))

    @pytest.mark.parametrize("with_masks", [True, False])
    def test_without_instances_the_picture_is_the_image(self, with_masks: bool) -> None:
        image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        picture = draw(image, Instances.empty(SIZE, LABELS, with_masks))
        assert np.array_equal(np.asarray(picture), image)


class TestInstances:
    def test_masks_are_tinted_and_nothing_else(self) -> None:
        picture = np.asarray(draw(GREY, instances((20, 40, 60, 100), (90, 40, 150, 100))))
        assert near(picture[80, 40], blend(0)) and near(picture[80, 120], blend(1))
        assert (picture[:, 62:89] == 100)[60:].all() and (picture[104:] == 100).all()

    def test_a_mask_is_tinted_by_its_pixels_not_its_box(self) -> None:
        found = instances((20, 40, 100, 100))
        half = np.zeros((60, 80), bool)
        half[:, :40] = True
        found = Instances(SIZE, found.boxes, found.scores, found.classes, LABELS, (BoxMask(20, 40, half),))
        picture = np.asarray(draw(GREY, found))
        assert near(picture[80, 40], blend(0)) and near(picture[80, 80], 100)

    def test_boxes_are_framed_in_the_colour_of_their_class(self) -> None:
        picture = np.asarray(draw(GREY, instances((20, 40, 100, 100), classes=(2,), masks=False)))
        for row, column in ((80, 20), (80, 100), (100, 60)):
            assert near(picture[row, column], class_colour(2))
        assert near(picture[80, 60], 100)

    def test_the_label_is_written(self) -> None:
        """Black on the colour of the class, inside the box's upper left corner."""
        one = np.asarray(draw(GREY, instances((20, 40, 150, 110), classes=(0,), masks=False)))
        other = np.asarray(draw(GREY, instances((20, 40, 150, 110), classes=(1,), masks=False)))
        plate = one[43:52, 22:60].reshape(-1, 3)
        assert (plate.max(1) < 60).any() and any(near(pixel, class_colour(0)) for pixel in plate)
        dark = one.max(2) < 60, other.max(2) < 60
        assert not np.array_equal(*dark)

    def test_the_best_lies_on_top(self) -> None:
        picture = np.asarray(draw(GREY, instances((20, 30, 80, 110), (20, 30, 80, 110), classes=(0, 1))))
        assert near(picture[80, 50], blend(1, 0))
        assert near(picture[80, 20], class_colour(0))

    @pytest.mark.parametrize("box", [(0, 0, 160, 120), (150, 110, 160, 120), (0, 0, 1, 1)], ids=str)
    def test_boxes_at_the_borders(self, box: tuple[float, ...]) -> None:
        assert draw(GREY, instances(box)).size == (160, 120)

    def test_labels_of_any_script(self) -> None:
        found = instances((20, 40, 100, 100))
        found = Instances(SIZE, found.boxes, found.scores, found.classes, ("Schraube ß", "螺母", "جير"), None)
        assert draw(GREY, found.select([0])).size == (160, 120)


class TestColours:
    def test_the_same_every_time(self) -> None:
        assert class_colour(0) == (242, 61, 61)
        assert [class_colour(i) for i in range(80)] == [class_colour(i) for i in range(80)]

    def test_classes_differ(self) -> None:
        colours = [class_colour(i) for i in range(80)]
        assert len(set(colours)) == 80
        assert all(0 <= value <= 255 for colour in colours for value in colour)

    def test_neighbours_are_easy_to_tell_apart(self) -> None:
        for i in range(20):
            assert np.abs(np.subtract(class_colour(i), class_colour(i + 1))).sum() > 100
