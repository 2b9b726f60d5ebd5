"""Snapshots: the same content has the same digest, nothing is changed or overwritten, the hold-out stays held out."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.snapshot import (
    HOLDOUT_SHARE,
    Snapshot,
    SnapshotError,
    is_held_out,
    read_snapshot,
    snapshot_of_coco,
    write_snapshot,
)

SQUARE = [[2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]]


def content(*splits: str | None) -> dict[str, Any]:
    """One image per split, a label with a mask in the first, one without in the second; categories by id."""
    images = [
        {"id": n, "file_name": f"{n}.png", "width": 20, "height": 10, "split": split}
        for n, split in enumerate(splits, start=1)
    ]
    label = {"bbox": [2, 2, 6, 6], "category_id": 1}
    annotations = [label | {"id": 1, "image_id": 1, "segmentation": SQUARE}, label | {"id": 2, "image_id": 2}]
    categories = [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def data() -> dict[str, Any]:
    return content("train", "holdout", "train")


def test_what_was_written_comes_back(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    written = write_snapshot(data, images, tmp_path / "snapshots" / "one.json")
    read = read_snapshot(written.file)
    assert read.digest == written.digest and read.labels == ("nut", "bolt") and read.has_masks
    assert [len(read.train), len(read.holdout)] == [2, 1]
    masks = read.train[0].masks
    assert masks is not None and masks[0].area == 36
    assert len(read.train[1].boxes) == 0, "an image of nothing is trained on"
    assert np.array_equal(read.holdout[0].image[0, 0], [2, 0, 0]) and read.holdout[0].masks is None


def test_a_folder_may_be_moved(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    images.rename(old.parent / "kept")
    old.mkdir()
    (tmp_path / "kept").rename(old / "images")
    digest = write_snapshot(data, old / "images", old / "snapshots" / "one.json").digest
    old.rename(tmp_path / "new")
    moved = read_snapshot(tmp_path / "new" / "snapshots" / "one.json")
    assert moved.digest == digest and len(moved.train[0].boxes) == 1


def test_names_and_order_do_not_change_the_digest(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    other = copy.deepcopy(data)
    for image in other["images"]:
        (images / image["file_name"]).rename(images / f"x{image['file_name']}")
        image.update(id=image["id"] + 10, file_name=f"x{image['file_name']}", task=image["id"])
    for label in other["annotations"]:
        label["image_id"] += 10
    other["images"].reverse()
    other["annotations"].reverse()
    digest = write_snapshot(other, images, tmp_path / "other.json").digest
    for image in other["images"]:
        (images / image["file_name"]).rename(images / image["file_name"][1:])
    assert write_snapshot(data, images, tmp_path / "one.json").digest == digest


@pytest.mark.parametrize("change", ["split", "bbox", "segmentation", "category", "name", "pixels", "image"])
def test_everything_that_training_sees_changes_the_digest(
    change: str, data: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    digest = write_snapshot(data, images, tmp_path / "one.json").digest
    match change:
        case "split":
            data["images"][0]["split"] = "holdout"
        case "bbox":
            data["annotations"][0]["bbox"][0] += 0.5
        case "segmentation":
            del data["annotations"][0]["segmentation"]
        case "category":
            data["annotations"][0]["category_id"] = 2
        case "name":
            data["categories"][1]["name"] = "gear"
        case "pixels":
            Image.new("RGB", (20, 10), "white").save(images / "3.png")
        case "image":
            data["images"].pop()
    assert write_snapshot(data, images, tmp_path / "two.json").digest != digest


def test_a_snapshot_is_never_overwritten(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    write_snapshot(data, images, file)
    before = file.read_bytes()
    write_snapshot(copy.deepcopy(data), images, file)
    assert file.read_bytes() == before
    data["annotations"].pop()
    with pytest.raises(SnapshotError, match="another snapshot"):
        write_snapshot(data, images, file)
    assert file.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["images", "one.json"]


def test_what_was_changed_later_is_refused(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    file = write_snapshot(data, images, tmp_path / "one.json").file
    changed = json.loads(file.read_text())
    changed["annotations"][0]["bbox"] = [0, 0, 1, 1]
    file.write_text(json.dumps(changed))
    with pytest.raises(SnapshotError, match="changed after it was written"):
        read_snapshot(file)


def test_everything_is_what_is_learnt_from_and_then_what_judges(data: dict[str, Any], images: Path) -> None:
    snapshot = Snapshot(Path("one.json"), images, data)
    reds = [snapshot.everything[i].image[0, 0, 0] for i in range(len(snapshot.everything))]
    assert reds == [1, 3, 2], "the second image is held out"
    assert [len(snapshot.everything[i].boxes) for i in range(3)] == [1, 0, 1]
    assert snapshot.everything.labels == snapshot.labels
    with pytest.raises(IndexError):
        snapshot.everything[3]


class TestKeys:
    """What an image is known by from one snapshot to the next."""

    @staticmethod
    def keys(data: dict[str, Any], images: Path) -> tuple[str, ...]:
        return Snapshot(Path("one.json"), images, data).keys

    def test_one_each_in_the_order_of_everything(self, data: dict[str, Any], images: Path) -> None:
        first, third, second = self.keys(data, images)
        assert len({first, second, third}) == 3 and {len(key) for key in (first, second, third)} == {12}
        data["images"].reverse()
        assert self.keys(data, images) == (third, first, second)

    def test_they_stay_where_the_image_and_its_labels_do(self, data: dict[str, Any], images: Path) -> None:
        """Numbers, names, splits, the order of labels and other labels of the project are nothing to an image."""
        twice = {"bbox": [1, 1, 3, 3], "category_id": 2, "id": 9, "image_id": 1}
        data["annotations"].append(twice)
        first, third, second = self.keys(data, images)
        other = copy.deepcopy(data)
        other["annotations"].reverse()
        other["categories"] = [
            {"id": 5, "name": "gear"},
            {"id": 6, "name": "nut"},
            {"id": 7, "name": "bolt"},
        ]
        for label in other["annotations"]:
            label.update(id=label["id"] + 20, category_id=label["category_id"] + 5)
        other["images"][0]["split"] = "holdout"
        assert self.keys(other, images) == (third, first, second)

    @pytest.mark.parametrize("change", ["bbox", "segmentation", "category", "pixels", "gone"])
    def test_they_change_with_what_is_learnt(self, change: str, data: dict[str, Any], images: Path) -> None:
        first, third, second = self.keys(data, images)
        match change:
            case "bbox":
                data["annotations"][0]["bbox"] = [2.5, 2, 6, 6]
            case "segmentation":
                del data["annotations"][0]["segmentation"]
            case "category":
                data["annotations"][0]["category_id"] = 2
            case "pixels":
                Image.new("RGB", (20, 10), "white").save(images / "1.png")
            case "gone":
                del data["annotations"][0]
        changed = self.keys(data, images)
        assert changed[0] != first and changed[1:] == (third, second)

    def test_the_same_with_the_hash_of_label_studio_s_files(self, data: dict[str, Any], images: Path) -> None:
        known = copy.deepcopy(data)
        for image in known["images"]:
            image["sha256"] = hashlib.sha256((images / image["file_name"]).read_bytes()).hexdigest()
        assert self.keys(known, images) == self.keys(data, images)


def test_a_missing_image_is_named(data: dict[str, Any], images: Path, tmp_path: Path) -> None:
    file = write_snapshot(data, images, tmp_path / "one.json").file
    (images / "2.png").unlink()
    with pytest.raises(SnapshotError, match=r"2\.png is missing"):
        read_snapshot(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        (json.dumps(content("train", "holdout")), "no digest"),
        (json.dumps(content("train", "val")), "split of an image is 'val'"),
    ],
)
def test_other_files_are_refused(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(text)
    with pytest.raises(SnapshotError, match=says):
        read_snapshot(file)


def test_the_share_and_the_choice_of_the_hold_out() -> None:
    """The choice is a contract: another one would train on images that were held out before."""
    assert [number for number in range(1, 31) if is_held_out(number)] == [5, 10, 13, 18, 26]
    assert is_held_out("8") and not is_held_out("7")
    share = sum(map(is_held_out, range(20_000))) / 20_000
    assert share == pytest.approx(HOLDOUT_SHARE, abs=0.01)


class TestCocoFiles:
    def read(self, folder: Path, *splits: str | None) -> Snapshot:
        file = folder.parent / "annotations.json"
        file.write_text(json.dumps(content(*splits)))
        return snapshot_of_coco(read_data_set(file, folder))

    def test_splits(self, images: Path) -> None:
        snapshot = self.read(images, "train", "val", "test")
        assert [len(snapshot.train), len(snapshot.holdout)] == [1, 2]
        assert len(snapshot.digest) == 12 and snapshot.labels == ("nut", "bolt")

    @pytest.mark.parametrize(
        ("splits", "is_set_apart"),
        [
            (("train", "val"), True),
            (("train", "test"), True),
            (("train", "train"), False),
            ((None, None), False),
        ],
    )
    def test_whether_a_person_set_images_apart(
        self, splits: tuple[str | None, ...], is_set_apart: bool, images: Path
    ) -> None:
        assert self.read(images, *splits).is_set_apart == is_set_apart

    def test_without_splits_the_ids_decide(self, images: Path) -> None:
        for number in range(4, 13):
            Image.new("RGB", (20, 10)).save(images / f"{number}.png")
        snapshot = self.read(images, *[None] * 12)
        assert [image["id"] for image in snapshot.holdout.data["images"]] == [5, 10]

    def test_other_splits_are_refused(self, images: Path) -> None:
        with pytest.raises(CocoError, match="'dev'"):
            self.read(images, "train", "dev")
