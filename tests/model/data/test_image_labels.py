"""Choices in snapshots: read as written, part of the digest only where there are any, refused where they are wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from choice_data import THINGS, WEATHER, chosen_snapshot, weather

from fbnetv3.data.coco import CocoError
from fbnetv3.data.coco_files import CocoDataSet
from fbnetv3.data.image_labels import HeadSpec, truth_of
from fbnetv3.data.snapshot import (
    Snapshot,
    SnapshotError,
    content_digest,
    read_snapshot,
    snapshot_of_coco,
    write_snapshot,
)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    train = [*weather("red"), ("green", {"weather": ["green"], "things": ["dark", "bright"]}), ("blue", None)]
    return chosen_snapshot(tmp_path, train, [("red", {"things": []})], [WEATHER, THINGS])


def test_choices_alone_are_a_snapshot(snapshot: Snapshot) -> None:
    read = read_snapshot(snapshot.file)
    assert read.digest == snapshot.digest and not read.data["annotations"] and read.labels == ()
    assert read.head_specs == (
        HeadSpec("weather", ("red", "green", "blue"), False),
        HeadSpec("things", ("bright", "dark"), True),
    )
    assert [len(read.train), len(read.holdout)] == [3, 1]


def test_not_labelled_is_not_none_of_them(snapshot: Snapshot) -> None:
    train, [holdout] = (snapshot.labelled_images(split) for split in ("train", "holdout"))
    assert [dict(image.chosen) for image in train] == [
        {"weather": ("red",)},
        {"weather": ("green",), "things": ("dark", "bright")},
        {},
    ]
    assert holdout.chosen == {"things": ()} and holdout.path.is_file()
    truth = truth_of([("dark", "gone"), ()], ("bright", "dark"))
    assert truth.tolist() == [[False, True], [False, False]] and truth_of([], ("a", "b")).shape == (0, 2)


def test_without_choices_the_digest_is_what_it_was(tmp_path: Path) -> None:
    """Snapshots that were written before there were choices must be read as unchanged."""
    images = [{"id": 1, "file_name": "a.png", "split": "train", "sha256": "0" * 64}]
    data = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "nut"}]}
    assert (
        content_digest(data, tmp_path)
        == content_digest(data | {"image_heads": []}, tmp_path)
        == "4cd3440ee88c"
    )


@pytest.mark.parametrize("change", ["chosen", "none of them", "not labelled", "class", "kind", "head"])
def test_everything_that_a_head_learns_from_changes_the_digest(change: str, snapshot: Snapshot) -> None:
    data = copy.deepcopy(snapshot.data)
    first, _, third, last = data["images"]
    match change:
        case "chosen":
            first["image_labels"]["weather"] = ["blue"]
        case "none of them":
            third["image_labels"] = {"things": []}
        case "not labelled":
            del last["image_labels"]
        case "class":
            data["image_heads"][0]["classes"].append("grey")
        case "kind":
            data["image_heads"][0]["multi_label"] = True
        case "head":
            data["image_heads"].append(WEATHER | {"name": "sky"})
    assert content_digest(data, snapshot.images) != snapshot.digest


def test_the_order_of_choices_does_not_change_the_digest(snapshot: Snapshot) -> None:
    data = copy.deepcopy(snapshot.data)
    data["image_heads"].reverse()
    data["images"].reverse()
    data["images"][2]["image_labels"]["things"].reverse()
    assert content_digest(data, snapshot.images) == snapshot.digest


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image_heads": {}}, "no list"),
    ({"image_heads": [{"classes": ["a"], "multi_label": False}]}, "without a name"),
    ({"image_heads": [WEATHER, WEATHER]}, "two image_heads of one name"),
    ({"image_heads": [WEATHER | {"classes": ["red", "red"]}]}, "not distinct names"),
    ({"image_heads": [WEATHER | {"classes": []}]}, "not distinct names"),
    ({"image_heads": [WEATHER | {"multi_label": 0}]}, "not true or false"),
    ({"image_labels": []}, "not lists by head"),
    ({"image_labels": {"sky": ["red"]}}, "'sky', which is not among"),
    ({"image_labels": {"weather": ["grey"]}}, "not classes of 'weather'"),
    ({"image_labels": {"weather": "red"}}, "not classes of 'weather'"),
    ({"image_labels": {"weather": ["red", "blue"]}}, "2 classes of 'weather'"),
    ({"image_labels": {"weather": []}}, "0 classes of 'weather'"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_wrong_choices_are_refused_in_one_sentence(
    change: dict[str, Any], says: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    data = copy.deepcopy(snapshot.data)
    for key, value in change.items():
        (data if key == "image_heads" else data["images"][0])[key] = value
    for image in data["images"]:
        image["split"] = "train"
    with pytest.raises(SnapshotError, match=says):
        write_snapshot(data, snapshot.images, tmp_path / "two.json")
    with pytest.raises(CocoError, match=says):
        snapshot_of_coco(CocoDataSet("coco.json", data, snapshot.images))
