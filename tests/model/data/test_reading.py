"""COCO files as other tools write them: what has one meaning reads as the clean file, what has none is named."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import COUNT, Json, as_rle, changed, clean, each, precision, read, write_images

from fbnetv3.data.coco import CocoError, CocoExamples, has_mask
from fbnetv3.data.coco_files import box_forms, read_data_set


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_images(folder)
    return folder


@cache
def clean_precision(folder: Path, kind: str = "bbox") -> float:
    return precision(read(folder, clean()), kind)


def sizes(data: Json) -> dict[Any, tuple[int, int]]:
    return {image["id"]: (image["height"], image["width"]) for image in data["images"]}


def each_mask(form: Any) -> Any:
    """The segmentation of every label in another form."""

    def apply(data: Json) -> None:
        for label in data["annotations"]:
            label["segmentation"] = form(label, sizes(data)[label["image_id"]])

    return apply


def uncompressed(label: Json, size: tuple[int, int]) -> Json:
    from pycocotools import mask as coco_mask

    flat = coco_mask.decode(as_rle(label, size)).flatten(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(size), "counts": counts if flat[0] == 0 else [0, *counts]}


def pairs(label: Json) -> list[list[float]]:
    return np.reshape(label["segmentation"][0], (-1, 2)).tolist()


def renamed_ids(data: Json, name: Any) -> None:
    for image in data["images"]:
        image["id"] = name(image["id"])
    for label in data["annotations"]:
        label["image_id"] = name(label["image_id"])


def with_parent(data: Json) -> None:
    data["categories"].insert(0, {"id": 0, "name": "apple", "supercategory": "none"})


def with_two_of_a_name(data: Json) -> None:
    data["categories"].append({"id": 77, "name": "Apple "})
    own = [label for label in data["annotations"] if label["category_id"] == 1]
    assert own
    own[0]["category_id"] = 77


def twice(data: Json) -> None:
    """A second record of the first image, with half of its labels."""
    data["images"].append({**data["images"][0], "id": 99})
    own = [label for label in data["annotations"] if label["image_id"] == 1]
    own[0]["image_id"] = 99


def twice_with_its_labels(data: Json) -> None:
    data["images"].append({**data["images"][0], "id": 99})
    own = [label for label in data["annotations"] if label["image_id"] == 1]
    data["annotations"] += [{**label, "image_id": 99, "id": 500 + label["id"]} for label in own]


def bigger(data: Json) -> None:
    """As of a picture twice as large."""
    for image in data["images"]:
        image["width"], image["height"] = image["width"] * 2, image["height"] * 2
    for label in data["annotations"]:
        label["bbox"] = [2 * side for side in label["bbox"]]
        label["segmentation"] = [[2 * side for side in label["segmentation"][0]]]


SAME_BOXES = {
    "as it is": lambda data: None,
    "annotation ids from 0": each("annotations", lambda one: one.update(id=one["id"] - 1)),
    "equal annotation ids": each("annotations", lambda one: one.update(id=1)),
    "no annotation ids": each("annotations", lambda one: one.pop("id")),
    "null annotation ids": each("annotations", lambda one: one.update(id=None)),
    "negative annotation ids": each("annotations", lambda one: one.update(id=-one["id"])),
    "text annotation ids": each("annotations", lambda one: one.update(id=f"a{one['id']}")),
    "huge annotation ids": each("annotations", lambda one: one.update(id=2**63 + one["id"])),
    "image ids as text": lambda data: renamed_ids(data, str),
    "image ids as words": lambda data: renamed_ids(data, lambda id_: f"image-{id_}"),
    "image ids as floats": lambda data: renamed_ids(data, float),
    "image ids from 0": lambda data: renamed_ids(data, lambda id_: id_ - 1),
    "huge image ids": lambda data: renamed_ids(data, lambda id_: 2**64 + id_),
    "image_id as text": each("annotations", lambda one: one.update(image_id=str(one["image_id"]))),
    "image_id with zeros": each("annotations", lambda one: one.update(image_id=f"{one['image_id']:06}")),
    "image_id as a float": each("annotations", lambda one: one.update(image_id=float(one["image_id"]))),
    "category_id as text": each("annotations", lambda one: one.update(category_id=str(one["category_id"]))),
    "category_id 5.0 as text": each("annotations", lambda one: one.update(category_id=f"{one['category_id']}.0")),
    "category ids as text": each("categories", lambda one: one.update(id=str(one["id"]))),
    "bbox as text": each("annotations", lambda one: one.update(bbox=[str(side) for side in one["bbox"]])),
    "no bbox": each("annotations", lambda one: one.pop("bbox")),
    "null bbox": each("annotations", lambda one: one.update(bbox=None)),
    "bbox of NaN": each("annotations", lambda one: one.update(bbox=[float("nan")] * 4)),
    "no area": each("annotations", lambda one: one.pop("area")),
    "area of NaN": each("annotations", lambda one: one.update(area=float("nan"))),
    "area beyond COCO's": each("annotations", lambda one: one.update(area=1e12)),
    "area as text": each("annotations", lambda one: one.update(area=str(one["area"]))),
    "no iscrowd": each("annotations", lambda one: one.pop("iscrowd")),
    "iscrowd as text": each("annotations", lambda one: one.update(iscrowd="0")),
    "iscrowd null": each("annotations", lambda one: one.update(iscrowd=None)),
    "iscrowd false": each("annotations", lambda one: one.update(iscrowd=False)),
    "all crowds": each("annotations", lambda one: one.update(iscrowd=1)),
    "all crowds, as text": each("annotations", lambda one: one.update(iscrowd="1")),
    "no segmentation": each("annotations", lambda one: one.pop("segmentation")),
    "null segmentation": each("annotations", lambda one: one.update(segmentation=None)),
    "empty segmentation": each("annotations", lambda one: one.update(segmentation=[])),
    "empty polygon": each("annotations", lambda one: one.update(segmentation=[[]])),
    "box for a polygon": each("annotations", lambda one: one.update(segmentation=[one["bbox"]])),
    "flat box for a polygon": each("annotations", lambda one: one.update(segmentation=one["bbox"])),
    "two corners": each("annotations", lambda one: one.update(segmentation=[[26, 31, 50, 31]])),
    "text segmentation": each("annotations", lambda one: one.update(segmentation="polygon")),
    "RLE of another size": each("annotations", lambda one: one.update(segmentation={"size": [3, 4], "counts": [12]})),
    "upper case names": each("categories", lambda one: one.update(name=one["name"].upper())),
    "names with spaces": each("categories", lambda one: one.update(name=f" {one['name']} ")),
    "unused parent of a name": with_parent,
    "two categories of a name": with_two_of_a_name,
    "an image under two ids": twice,
    "an image and its labels under two ids": twice_with_its_labels,
    "no sizes": each("images", lambda one: (one.pop("width"), one.pop("height"))),
    "sizes as text": each("images", lambda one: one.update(width=str(one["width"]), height=str(one["height"]))),
    "sizes of 0": each("images", lambda one: one.update(width=0, height=0)),
    "sides swapped": each("images", lambda one: one.update(width=one["height"], height=one["width"])),
    "twice as large": bigger,
    "path for file_name": each("images", lambda one: one.update(path=one.pop("file_name"))),
}  # fmt: skip

SAME_MASKS = {
    "flat polygon": each("annotations", lambda one: one.update(segmentation=one["segmentation"][0])),
    "points": each("annotations", lambda one: one.update(segmentation=[pairs(one)])),
    "flat points": each("annotations", lambda one: one.update(segmentation=pairs(one))),
    "numbers as text": each(
        "annotations", lambda one: one.update(segmentation=[[str(side) for side in one["segmentation"][0]]])
    ),
    "a stump beside": each("annotations", lambda one: one["segmentation"].append([1, 2, 3, 4])),
    "an odd polygon beside": each("annotations", lambda one: one["segmentation"].append([1, 2, 3, 4, 5, 6, 7])),
    "NaN beside": each("annotations", lambda one: one["segmentation"].append([float("nan")] * 8)),
    "RLE": each_mask(as_rle),
    "RLE written as Python's bytes": each_mask(
        lambda label, size: {"size": list(size), "counts": str(as_rle(label, size)["counts"].encode())}
    ),
    "uncompressed RLE": each_mask(uncompressed),
    "uncompressed RLE as floats": each_mask(
        lambda label, size: {
            "size": [float(side) for side in size],
            "counts": [float(run) for run in uncompressed(label, size)["counts"]],
        }
    ),
    "uncompressed RLE without its last run": each_mask(
        lambda label, size: {"size": list(size), "counts": uncompressed(label, size)["counts"][:-1]}
    ),
    "all crowds in RLE without bbox": each_mask(
        lambda label, size: label.update(iscrowd=1) or (label.pop("bbox") and as_rle(label, size))
    ),
    "as it is": lambda data: None,
    "twice as large": bigger,
}  # fmt: skip


class TestRepairs:
    @pytest.mark.parametrize("case", SAME_BOXES)
    def test_what_has_one_meaning_scores_as_the_clean_file(self, case: str, folder: Path) -> None:
        found = read(folder, changed(SAME_BOXES[case]))
        assert precision(found) == pytest.approx(clean_precision(folder), abs=2e-3)
        assert found.left_out == () and found.labels_left_out == 0
        assert 0.2 < clean_precision(folder) < 0.9, "predictions that could do better and worse"
        ids = [label["id"] for label in found.data["annotations"]]
        assert len(set(ids)) == len(ids) == found.objects and min(ids) > 0

    @pytest.mark.parametrize("case", SAME_MASKS)
    def test_every_form_of_a_mask_scores_as_the_clean_file(self, case: str, folder: Path) -> None:
        found = read(folder, changed(SAME_MASKS[case]))
        assert all(map(has_mask, found.data["annotations"]))
        assert precision(found, "segm") == pytest.approx(clean_precision(folder, "segm"), abs=0.03)

    def test_a_mask_of_a_square_image_takes_no_memory_to_compare_with_its_box(self) -> None:
        """It was drawn on a square of 1e9 pixels' side, as its ratio is the same."""
        rle = {"size": [256, 256], "counts": "aje02l74M2N2N2N2O1O0000O2O0O101N2O2LbUV1"}
        label = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [100, 100, 20, 20], "segmentation": rle}
        assert box_forms.check_boxes([label]) is None

    def test_a_clean_file_stays_as_it_is(self, folder: Path) -> None:
        found = read(folder, clean())
        assert found.repaired == found.left_out == ()
        for kind in ("annotations", "categories"):
            assert found.data[kind] == clean()[kind]

    def test_numbers_and_order_stay_as_they_are_written(self, folder: Path) -> None:
        """Digests of labels depend on them: 5 is not 5.0, nor 0.1 the difference of two sums."""
        data = clean()
        data["annotations"][0] |= {
            "bbox": [10, 5, 20.1, 20],
            "area": 300,
            "segmentation": [[10, 5, 30, 5, 30, 25]],
        }
        data["annotations"].reverse()
        assert repr(read(folder, data).data["annotations"][-1]["bbox"]) == "[10, 5, 20.1, 20]"
        assert json.dumps(read(folder, data).data["annotations"], sort_keys=True) == json.dumps(
            data["annotations"], sort_keys=True
        )

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_every_encoding(self, encoding: str, folder: Path) -> None:
        text = json.dumps(
            changed(each("categories", lambda one: one.update(name=f"{one['name']} é")))
        ).encode()
        found = read(folder, text.decode().encode(encoding))
        assert found.data["categories"][0]["name"] == "apple é"

    def test_a_name_that_is_a_number(self, folder: Path) -> None:
        found = read(folder, changed(each("categories", lambda one: one.update(name=one["id"] * 10))))
        assert [one["name"] for one in found.data["categories"]][:2] == ["10", "20"]
        assert "categories 1, 2, 3 and 3 more: the name is a number, read as text" in found.repaired

    def test_renumbered_labels_keep_what_they_are_called(self, folder: Path) -> None:
        found = read(folder, changed(each("annotations", lambda one: one.update(id=one["id"] - 1))))
        assert found.data["annotations"][0]["id"] == 1 and found.data["annotations"][0]["regions"] == ["0"]

    def test_a_box_that_stands_out_is_cut(self, folder: Path) -> None:
        data = clean()
        data["annotations"][0] |= {"bbox": [-20, -5, 60, 40], "segmentation": None}
        found = read(folder, data)
        assert found.data["annotations"][0]["bbox"] == [0, 0, 40, 35] and "is cut to it" in found.repaired[0]

    def test_an_image_under_two_ids_is_in_one_split(self, folder: Path) -> None:
        data = changed(twice)
        for image in data["images"]:
            image["split"] = "train" if image["id"] != 99 else "val"
        found = read(folder, data)
        assert [image["split"] for image in found.data["images"]] == ["val", "train", "train", "train"]
        assert "image 99: the same file as image 1" in found.repaired[0]
        assert len(read(folder, data, split="val").data["images"]) == 1

    def test_crowds_among_objects_stay_crowds(self, folder: Path) -> None:
        data = clean()
        data["annotations"][0]["iscrowd"] = "1"
        found = read(folder, data)
        assert (found.crowds, found.objects) == (1, len(data["annotations"]) - 1)

    def test_images_of_crowds_alone_are_not_learnt_from(self, folder: Path) -> None:
        data = clean()
        for label in data["annotations"]:
            label["iscrowd"] = int(label["image_id"] == 2)
        found = read(folder, data)
        assert len(found.data["images"]) == COUNT
        assert [image["id"] for image in found.learnable()["images"]] == [1, 3, 4]


def first(**values: Any) -> Any:
    return lambda data: (
        data["annotations"][0].update(segmentation=None) or data["annotations"][0].update(values)
    )


LEFT_OUT = {
    "empty bbox": (first(bbox=[]), "annotation 1: the bbox is [] and it has no segmentation"),
    "no box at all": (first(bbox=None), "annotation 1: the bbox is None and it has no segmentation"),
    "box of NaN": (first(bbox=[1, 2, float("nan"), 4]), "annotation 1: the bbox is [1, 2, nan, 4]"),
    "box of infinity": (first(bbox=[1, 2, float("inf"), 4]), "annotation 1: the bbox is"),
    "zero width": (first(bbox=[10, 10, 0, 20]), "annotation 1: the bbox [10, 10, 0, 20] has no extent"),
    "negative": (first(bbox=[10, 10, -5, 20]), "annotation 1: the bbox [10, 10, -5, 20] has no extent"),
    "outside": (first(bbox=[300, 300, 20, 20]), "annotation 1: the bbox [300, 300, 20, 20] lies outside"),
    "two numbers": (first(bbox=[1, 2]), "annotation 1: the bbox is [1, 2]"),
    "polygon outside": (
        lambda data: data["annotations"][0].update(bbox=None, segmentation=[[900, 900, 950, 900, 950, 950]]),
        "annotation 1: the bbox is None and the segmentation has no polygon of three corners inside the image",
    ),
    "broken RLE": (
        lambda data: data["annotations"][0].update(bbox=None, segmentation={"size": [128, 160], "counts": [1e9]}),
        "annotation 1: the bbox is None and the RLE has counts that do not fit its size",
    ),
    "no such image": (first(image_id=77), "annotation 1: there is no image 77"),
    "no image_id": (first(image_id=None), "annotation 1: it has no image_id"),
    "no such category": (first(category_id="pear"), "annotation 1: there is no category 'pear'"),
    "iscrowd that says nothing": (first(iscrowd="perhaps"), "annotation 1: its iscrowd is 'perhaps'"),
    "no record": (lambda data: data["annotations"].__setitem__(0, "label"), "the annotation at position 1 is no"),
}  # fmt: skip


class TestLeftOut:
    @pytest.mark.parametrize("case", LEFT_OUT)
    def test_one_label_is_left_out_and_named(self, case: str, folder: Path) -> None:
        change, sentence = LEFT_OUT[case]
        found = read(folder, changed(change))
        assert found.left_out[0].startswith(sentence) and (found.labels_left_out, found.images_left_out) == (
            1,
            0,
        )
        rest = clean()
        del rest["annotations"][0]
        assert precision(found) == precision(read(folder, rest))
        with pytest.raises(CocoError, match="--strict") as caught:
            read(folder, changed(change), strict=True)
        assert sentence in str(caught.value)

    def test_an_image_that_loses_all_its_labels_is_no_image_of_nothing(self, folder: Path) -> None:
        data = clean()
        for label in data["annotations"]:
            label["segmentation"] = None
            label["bbox"] = [] if label["image_id"] == 2 else label["bbox"]
        found = read(folder, data)
        assert [image["id"] for image in found.data["images"]] == [1, 3, 4] and found.images_left_out == 1

    def test_two_images_of_one_id(self, folder: Path) -> None:
        data = clean()
        data["images"][1]["id"] = 1
        found = read(folder, data)
        assert "scene0.png and scene1.png have the same image id 1" in found.left_out[0]
        assert [image["id"] for image in found.data["images"]] == [3, 4]

    def test_two_categories_of_one_id(self, folder: Path) -> None:
        data = clean()
        data["categories"][1]["id"] = 1
        found = read(folder, data)
        assert "apple and banana have the same category id 1" in found.repaired[0]
        assert all("there is no category" in sentence for sentence in found.left_out)

    @pytest.mark.parametrize(
        ("record", "says"),
        [
            ("scene0.png", "the image at position 1 is no record"),
            ({"id": 1}, "the image at position 1 has no file_name"),
            ({"file_name": "scene0.png"}, "scene0.png has no id"),
            ({"id": 1, "file_name": "scene0.png", "width": 999, "height": 10}, "scene0.png: the file says 999 x 10"),
            ({"id": 1, "file_name": "gone.png"}, "gone.png: cannot read it: tried"),
            ({"id": 1, "file_name": "annotations.json"}, "annotations.json: the file is not an image"),
        ],
    )  # fmt: skip
    def test_an_image_that_cannot_be_used(self, record: Any, says: str, folder: Path) -> None:
        data = clean()
        data["images"][0] = record
        found = read(folder, data)
        assert found.left_out[0].startswith(says) and found.images_left_out == 1
        assert len(found.data["images"]) == COUNT - 1


NOT_COCO = {
    "empty": (b"", "is empty"),
    "spaces": (b" \n ", "is empty"),
    "cut short": (json.dumps({"images": []}).encode()[:-3], "is not JSON: "),
    "not JSON": (b"not json {", "is not JSON: "),
    "not text": (b"\xff\xfe\x00", "is not JSON: it is not text"),
    "a list": (b"[1, 2]", "it is a list"),
    "a number": (b"5", "it is a int"),
    "deep nesting": (b"[" * 200_000, "nested too deeply"),
    "a huge number": (b'{"images": ' + b"1" * 10_000 + b"}", "thousands of digits"),
    "no images": ({**clean(), "images": []}, "has no images"),
    "images null": ({**clean(), "images": None}, "has no images"),
    "annotations text": ({**clean(), "annotations": "none"}, "its annotations are no list"),
    "categories null": ({**clean(), "categories": None}, "has no categories: it needs"),
    "no categories": ({**clean(), "categories": []}, "has no categories: it needs"),
    "categories as names": ({**clean(), "categories": ["apple"]}, "has no category with an id and a name"),
    "no image found": ({**clean(), "images": [{"id": 1, "file_name": "gone.png"}]}, "has no image that can be read"),
    "no such split": (None, "has no images whose split is 'test'"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_COCO)
def test_what_cannot_be_used_is_one_sentence(case: str, folder: Path) -> None:
    content, says = NOT_COCO[case]
    split = "test" if content is None else None
    with pytest.raises(CocoError) as caught:
        read(folder, clean() if content is None else content, split=split)
    text = str(caught.value)
    assert says in text and str(folder / "annotations.json") in text and "\n" not in text


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(CocoError, match=r"cannot read .*gone\.json: No such file"):
        read_data_set(folder / "gone.json", folder)


@pytest.mark.parametrize("missing", ["annotations", "null"])
def test_no_labels_at_all_have_no_objects(missing: str, folder: Path) -> None:
    data = clean()
    data["annotations"] = None if missing == "null" else []
    found = read(folder, data)
    with pytest.raises(CocoError, match="has no labelled object left: it has no annotations"):
        found.check_objects()


def test_what_is_read_can_be_learnt_from(folder: Path) -> None:
    found = read(folder, changed(SAME_MASKS["flat points"]))
    examples = CocoExamples(found.data, found.images)
    assert len(examples) == COUNT and all(mask.area for mask in examples[0].masks or ())


REFERENCES = {
    "no such category": ("category_id", 99),
    "iscrowd that says nothing": ("iscrowd", "perhaps"),
    "no category_id": ("category_id", None),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_an_image_that_loses_its_labels_for_what_they_refer_to_is_no_image_of_nothing(
    case: str, folder: Path
) -> None:
    key, value = REFERENCES[case]
    data = clean()
    own = [label for label in data["annotations"] if label["image_id"] == 2]
    for label in own:
        label[key] = value
    found = read(folder, data)
    assert [image["id"] for image in found.data["images"]] == [1, 3, 4]
    assert (found.labels_left_out, found.images_left_out) == (len(own), 1)


@pytest.mark.parametrize("renumbered", [False, True])
def test_a_label_that_is_there_twice_counts_once(renumbered: bool, folder: Path) -> None:
    data = clean()
    again = [{**label, "id": label["id"] + 1000 * renumbered} for label in data["annotations"]]
    found = read(folder, data | {"annotations": data["annotations"] + again})
    assert found.objects == len(again) and precision(found) == clean_precision(folder)
    assert any("read once" in sentence for sentence in found.repaired)


def test_labels_stay_where_the_size_in_the_file_is_the_mistake(folder: Path) -> None:
    data = changed(
        each("images", lambda image: image.update(width=image["width"] // 2, height=image["height"] // 2))
    )
    found = read(folder, data)
    assert precision(found) == clean_precision(folder)
    assert any("where its labels lie: they stay" in sentence for sentence in found.repaired)


def as_shares(label: Json, size: tuple[int, int]) -> list[float]:
    return [side / size[1 - number % 2] for number, side in enumerate(label["bbox"])]


def as_corners(label: Json, size: tuple[int, int]) -> list[float]:
    x, y, width, height = label["bbox"]
    return [x, y, x + width, y + height]


@pytest.mark.parametrize(
    ("form", "says"),
    [(as_shares, "multiply them by width and height"), (as_corners, "they are x0, y0, x1, y1")],
)
def test_boxes_of_another_form_are_named(form: Any, says: str, folder: Path) -> None:
    data = clean()
    for label in data["annotations"]:
        label["bbox"] = form(label, sizes(data)[label["image_id"]])
    with pytest.raises(CocoError, match=says):
        read(folder, data)


def test_boxes_without_extent_are_no_shares_of_the_image(folder: Path) -> None:
    data = changed(each("annotations", lambda label: label.update(bbox=[0, 0, 0, 0])))
    with pytest.raises(CocoError, match="no extent"):
        read(folder, data).check_objects()
