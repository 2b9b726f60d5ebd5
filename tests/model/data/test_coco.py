"""Data sets: COCO files read as they are meant, written so that they come back, and joined."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from scene_data import OneExample, scenes

from fbnetv3.data.coco import CocoError, CocoExamples, encode_mask, read_coco, read_mask, to_coco
from fbnetv3.data.examples import JoinedExamples, SceneExamples
from fbnetv3.instances import BoxMask

SIZE = (40, 60)
SQUARE = [10.0, 5.0, 30.0, 5.0, 30.0, 25.0, 10.0, 25.0]


def annotation(number: int, **changes: Any) -> dict[str, Any]:
    label = {
        "id": number,
        "image_id": 1,
        "category_id": 9,
        "bbox": [10, 5, 20, 20],
        "area": 400,
        "iscrowd": 0,
    }
    return {**label, "segmentation": [SQUARE], **changes}


def coco(*annotations: dict[str, Any]) -> dict[str, Any]:
    """Two images, the second without labels; categories not in the order of their ids."""
    return {
        "images": [
            {"id": 1, "file_name": "one.png", "height": SIZE[0], "width": SIZE[1], "split": "train"},
            {"id": 2, "file_name": "two.png", "height": SIZE[0], "width": SIZE[1], "split": "val"},
        ],
        "categories": [{"id": 9, "name": "nut"}, {"id": 4, "name": "bolt"}, {"id": 12, "name": "gear"}],
        "annotations": list(annotations),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.png", "two.png"):
        Image.new("RGB", SIZE[::-1], "navy").save(tmp_path / name)
    return tmp_path


def square_mask() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[5:25, 10:30] = True
    return mask


def compressed() -> dict[str, Any]:
    return encode_mask(BoxMask.from_full(square_mask()), SIZE)


def uncompressed() -> dict[str, Any]:
    """Run lengths, column by column, zeros first."""
    column_major = square_mask().flatten(order="F")
    edges = np.flatnonzero(np.diff(column_major)) + 1
    return {"size": list(SIZE), "counts": np.diff([0, *edges, column_major.size]).tolist()}


class TestReading:
    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(coco(annotation(1))))
        assert read_coco(path) == coco(annotation(1))

    def test_a_split_keeps_its_images_and_their_labels(self, tmp_path: Path) -> None:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(coco(annotation(1), annotation(2, image_id=2))))
        data = read_coco(path, "val")
        assert [image["id"] for image in data["images"]] == [2]
        assert [label["id"] for label in data["annotations"]] == [2]
        assert len(data["categories"]) == 3

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            pytest.param("not json {", "is not JSON", id="not JSON"),
            pytest.param(b"\xff\xfe\x00", "is not JSON", id="not text"),
            pytest.param("[1, 2]", "COCO's format", id="a list"),
            pytest.param('{"images": [], "annotations": []}', "categories", id="no categories"),
            pytest.param(json.dumps(coco()), "'test'", id="no such split"),
            pytest.param(None, "No such file", id="missing"),
            pytest.param(json.dumps(coco({"id": 5})), "annotation 5 has no bbox", id="no bbox"),
            pytest.param(json.dumps(coco(annotation(5, bbox=[1, 2]))), "annotation 5", id="half a bbox"),
            pytest.param(json.dumps(coco(annotation(5, image_id=8))), "no image 8", id="unknown image"),
            pytest.param(
                json.dumps(coco(annotation(5, category_id=7))), "no category 7", id="unknown category"
            ),
            pytest.param(json.dumps({**coco(), "images": [{"id": 1}]}), "file_name", id="no file name"),
            pytest.param(json.dumps({**coco(), "categories": None}), "categories are needed", id="null"),
            pytest.param(
                json.dumps({**coco(), "images": [{"id": [], "file_name": "a"}]}), "need an id", id="no id"
            ),
            pytest.param(json.dumps(coco(annotation(5, image_id=[]))), "no image []", id="list for an id"),
        ],
    )
    def test_what_cannot_be_used(self, content: str | bytes | None, says: str, tmp_path: Path) -> None:
        path = tmp_path / "annotations.json"
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(CocoError) as caught:
            read_coco(path, "test")
        text = str(caught.value)
        assert says in text and str(path) in text and "\n" not in text


class TestMasks:
    @pytest.mark.parametrize(
        "segmentation", [[SQUARE], compressed(), uncompressed()], ids=["polygon", "RLE", "uncompressed RLE"]
    )
    def test_every_form(self, segmentation: Any) -> None:
        mask = read_mask(segmentation, SIZE)
        assert np.array_equal(mask.full(SIZE), square_mask())

    def test_several_polygons_are_one_mask(self) -> None:
        other = [40.0, 30.0, 50.0, 30.0, 50.0, 38.0, 40.0, 38.0]
        expected = square_mask()
        expected[30:38, 40:50] = True
        assert np.array_equal(read_mask([SQUARE, other], SIZE).full(SIZE), expected)

    @settings(max_examples=50)
    @given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    def test_encoded_masks_come_back(self, mask: np.ndarray) -> None:
        encoded = json.loads(json.dumps(encode_mask(BoxMask.from_full(mask), mask.shape)))
        assert np.array_equal(coco_mask.decode(encoded).astype(bool), mask)
        assert np.array_equal(read_mask(encoded, mask.shape).full(mask.shape), mask)


class TestCocoExamples:
    def test_one_example(self, folder: Path) -> None:
        examples = CocoExamples(coco(annotation(1), annotation(2, category_id=4, bbox=[1, 2, 3, 4])), folder)
        assert len(examples) == 1 and examples.labels == ("bolt", "nut", "gear")
        example = examples[0]
        assert example.image.shape == (*SIZE, 3) and example.image[0, 0].tolist() == [0, 0, 128]
        assert example.boxes.dtype == np.float32 and example.boxes.tolist() == [[10, 5, 30, 25], [1, 2, 4, 6]]
        assert example.classes.dtype == np.int64 and example.classes.tolist() == [1, 0]
        assert example.masks is not None and len(example.masks) == 2
        assert np.array_equal(example.masks[0].full(SIZE), square_mask())

    def test_crowds_and_empty_boxes_are_left_out(self, folder: Path) -> None:
        data = coco(
            annotation(1, iscrowd=1),
            annotation(2, bbox=[1, 1, 0, 5]),
            annotation(3),
            annotation(4, image_id=2, iscrowd=1),
        )
        examples = CocoExamples(data, folder)
        assert len(examples) == 1 and len(examples[0].boxes) == 1

    @pytest.mark.parametrize("segmentation", [None, [], "absent"], ids=str)
    def test_a_label_without_a_mask_has_an_empty_one_beside_those_with(
        self, segmentation: Any, folder: Path
    ) -> None:
        bare = annotation(2, segmentation=segmentation)
        if segmentation == "absent":
            del bare["segmentation"]
        [example] = CocoExamples(coco(annotation(1), bare), folder)
        assert example.masks is not None and len(example.boxes) == 2
        assert [mask.area for mask in example.masks] == [400, 0]
        assert CocoExamples(coco(bare), folder)[0].masks is None

    def test_an_image_without_masks_has_empty_ones_where_others_have_masks(self, folder: Path) -> None:
        data = coco(annotation(1), annotation(2, image_id=2, segmentation=None))
        masks = CocoExamples(data, folder)[1].masks
        assert masks is not None and [mask.area for mask in masks] == [0]

    @pytest.mark.parametrize(
        ("segmentation", "masks"), [([SQUARE], ()), (None, None)], ids=["masks", "boxes"]
    )
    def test_images_without_labels_when_asked_for(self, segmentation: Any, masks: Any, folder: Path) -> None:
        data = coco(annotation(1, segmentation=segmentation))
        assert len(CocoExamples(data, folder)) == 1
        empty = CocoExamples(data, folder, with_empty=True)[1]
        assert empty.boxes.shape == (0, 4) and empty.boxes.dtype == np.float32
        assert empty.classes.shape == (0,) and empty.classes.dtype == np.int64 and empty.masks == masks

    @pytest.mark.parametrize(
        ("file_name", "label", "says"),
        [
            ("gone.png", annotation(1), "gone.png: cannot read"),
            (
                "one.png",
                annotation(1, segmentation={"size": [3, 4], "counts": [12]}),
                "4 x 3, its image 60 x 40",
            ),
        ],
    )
    def test_images_that_cannot_be_used(self, file_name: str, label: Any, says: str, folder: Path) -> None:
        data = coco(label)
        data["images"][0]["file_name"] = file_name
        with pytest.raises(CocoError, match=says):
            CocoExamples(data, folder)[0]

    def test_images_keep_the_order_of_the_file(self, folder: Path) -> None:
        examples = CocoExamples(coco(annotation(1, image_id=2, bbox=[1, 1, 2, 2]), annotation(2)), folder)
        assert [example.boxes[0, 0] for example in (examples[0], examples[1])] == [10, 1]


class TestOtherExamples:
    def test_scenes_alternate_between_landscape_and_portrait(self) -> None:
        scenes = SceneExamples(5, 2, (128, 160))
        assert scenes[0].image.shape == (128, 160, 3) and scenes[1].image.shape == (160, 128, 3)
        assert np.array_equal(scenes[1].image, SceneExamples(6, 1, (128, 160))[0].image)
        assert scenes[0].masks is not None and len(scenes[0].masks) == len(scenes[0].boxes)
        with pytest.raises(IndexError):
            scenes[2]

    def test_joined_examples_follow_one_another(self) -> None:
        parts = [SceneExamples(0, 2, (128, 160)), SceneExamples(7, 1, (128, 160))]
        joined = JoinedExamples(parts)
        assert len(joined) == 3 and joined.labels == parts[0].labels
        expected = [parts[0][0], parts[0][1], parts[1][0]]
        for index, example in enumerate(expected):
            assert np.array_equal(joined[index].image, example.image)
        with pytest.raises(IndexError):
            joined[3]


class TestToCoco:
    def test_the_labels_are_kept(self) -> None:
        data, images = scenes()
        examples = SceneExamples(0, 4, (128, 160))
        assert [image["id"] for image in data["images"]] == [0, 1, 2, 3]
        assert [category["name"] for category in data["categories"]] == list(examples.labels)
        assert len({label["id"] for label in data["annotations"]}) == len(data["annotations"])
        for number in range(4):
            example = examples[number]
            labels = [label for label in data["annotations"] if label["image_id"] == number]
            assert np.array_equal(images[number], example.image)
            assert [label["category_id"] for label in labels] == example.classes.tolist()
            for label, box, mask in zip(labels, example.boxes, example.masks or (), strict=True):
                x, y, width, height = label["bbox"]
                assert [x, y, x + width, y + height] == box.tolist() and label["area"] == mask.area
                size = example.image.shape[:2]
                assert np.array_equal(read_mask(label["segmentation"], size).full(size), mask.full(size))

    def test_a_choice_of_examples(self) -> None:
        data, images = to_coco(SceneExamples(0, 4, (128, 160)), [2])
        assert len(images) == 1 and np.array_equal(images[0], SceneExamples(0, 4, (128, 160))[2].image)
        assert {label["image_id"] for label in data["annotations"]} == {0}

    def test_boxes_only(self) -> None:
        example = replace(SceneExamples(0, 1, (128, 160))[0], masks=None)
        data, _ = to_coco(OneExample(example), [0])
        assert not any("segmentation" in label for label in data["annotations"])
        assert all(label["area"] == label["bbox"][2] * label["bbox"][3] for label in data["annotations"])
