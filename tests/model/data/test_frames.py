"""Labels of images whose size is not the file's: scaled, turned with EXIF, kept or left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coco_samples import read
from PIL import Image, ImageOps

from fbnetv3.data.coco import encode_mask, read_mask
from fbnetv3.data.coco_files.frames import Frame, is_same_ratio
from fbnetv3.instances import BoxMask

WIDTH, HEIGHT = 60, 40
BOX = (10, 5, 30, 25)
"""x0, y0, x1, y1 on the image as it lies in its file."""

RECTANGLE = [10, 5, 30, 5, 30, 25, 10, 25]


def stored_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:25, 10:30] = True
    return mask


def upright(mask: np.ndarray, orientation: int) -> np.ndarray:
    image = Image.fromarray(mask)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def write(folder: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "turned.jpg", exif=exif)


def one_label(size: tuple[float, float], **label: object) -> dict:
    """A label of an image that the file says is of `size` (width, height)."""
    image = {"id": 1, "file_name": "turned.jpg", "width": size[0], "height": size[1]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 5, 20, 20], **label}
    return {"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "nut"}]}


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("form", ["polygon", "RLE", "no bbox"])
@pytest.mark.parametrize("scale", [1, 2])
def test_labels_of_the_stored_image_turn_with_it(
    orientation: int, form: str, scale: int, tmp_path: Path
) -> None:
    write(tmp_path, orientation)
    mask = stored_mask().repeat(scale, 0).repeat(scale, 1)
    label = {
        "bbox": None if form == "no bbox" else [scale * side for side in (10, 5, 20, 20)],
        "segmentation": encode_mask(BoxMask.from_full(mask), mask.shape),
    }
    if form == "polygon":
        label["segmentation"] = [[scale * side for side in RECTANGLE]]
    found = read(tmp_path, one_label((scale * WIDTH, scale * HEIGHT), **label))
    [clean] = found.data["annotations"]
    expected = upright(stored_mask(), orientation)
    assert (found.data["images"][0]["height"], found.data["images"][0]["width"]) == expected.shape
    assert np.array_equal(read_mask(clean["segmentation"], expected.shape).full(expected.shape), expected)
    box = BoxMask.from_full(expected)
    assert clean["bbox"] == [box.x, box.y, box.bitmap.shape[1], box.bitmap.shape[0]]
    assert bool(found.repaired) == (orientation != 1 or scale != 1 or form == "no bbox")


def test_labels_of_the_upright_image_stay(tmp_path: Path) -> None:
    """The sizes are the stored ones, but a label lies where only the upright image has pixels."""
    write(tmp_path, 6)
    found = read(tmp_path, one_label((WIDTH, HEIGHT), bbox=[10, 45, 20, 10]))
    assert found.data["annotations"][0]["bbox"] == [10, 45, 20, 10]
    assert "sides are swapped: labels stay as they are" in found.repaired[0]


def test_swapped_sides_without_exif_are_a_slip(tmp_path: Path) -> None:
    write(tmp_path, 1)
    found = read(tmp_path, one_label((HEIGHT, WIDTH), bbox=[35, 5, 20, 20]))
    assert found.data["annotations"][0]["bbox"] == [35, 5, 20, 20]


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (500, 100)])
def test_where_labels_lie_must_be_certain(size: tuple[int, int], tmp_path: Path) -> None:
    """Swapped sides whose labels do not fit the image, and a size that has nothing to do with it."""
    write(tmp_path, 1)
    data = one_label(size, bbox=[5, 45, 20, 10])
    data["images"].append({"id": 2, "file_name": "upright.jpg", "width": 8, "height": 8})
    Image.new("RGB", (8, 8)).save(tmp_path / "upright.jpg")
    found = read(tmp_path, data)
    says = f"turned.jpg: the file says {size[0]} x {size[1]}, and the image is 60 x 40"
    assert found.left_out == (says,) and (found.labels_left_out, found.images_left_out) == (1, 1)


def test_one_sentence_for_all_images_of_a_size(tmp_path: Path) -> None:
    write(tmp_path, 1)
    data = one_label((2 * WIDTH, 2 * HEIGHT))
    found = read(tmp_path, data)
    assert found.data["annotations"][0]["bbox"] == [5, 2.5, 10, 10]
    assert found.repaired == (
        "image turned.jpg: not of the size that the file says, 120 x 80, but 60 x 40: labels are scaled",
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((640, 427), (1333, 889), True),
        ((256, 192), (257, 192), True),
        ((4032, 3024), (640, 480), True),
        ((640, 480), (640, 427), False),
        ((1, 1), (256, 192), False),
        ((480, 640), (640, 480), False),
    ],
)
def test_ratios(one: tuple[int, int], other: tuple[int, int], same: bool) -> None:
    assert is_same_ratio(one, other) == is_same_ratio(other, one) == same


def test_an_area_grows_with_its_image() -> None:
    assert Frame((120, 80), (60, 40)).area_factor == 0.25
