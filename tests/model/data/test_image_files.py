"""The files of a data set: found by whatever name tools write, below one folder and nowhere else."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from coco_samples import clean, read, write_images

from fbnetv3.data.coco_files.image_files import ImageFiles

ODD = "Šňůra #0 100%+50 é.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in (
        "a.jpg",
        "deep/b.jpg",
        "deep/deeper/c.jpg",
        "one/same.jpg",
        "two/same.jpg",
        "Big.JPG",
        ODD,
        "%41.jpg",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"")
    return folder


FOUND = [
    ("a.jpg", "a.jpg"),
    ("./a.jpg", "a.jpg"),
    ("deep/b.jpg", "deep/b.jpg"),
    ("deep/../a.jpg", "a.jpg"),
    ("deep\\b.jpg", "deep/b.jpg"),
    ("..\\..\\media\\upload\\4\\a.jpg", "a.jpg"),
    ("C:\\Users\\me\\deep\\b.jpg", "deep/b.jpg"),
    ("/home/me/images/a.jpg", "a.jpg"),
    ("../label-studio/data/media/upload/5/a.jpg", "a.jpg"),
    ("../label-studio/data/media/upload/5/1a2b3c4d-a.jpg", "a.jpg"),
    ("/data/upload/4/1a2b3c4d-b.jpg", "deep/b.jpg"),
    ("/data/local-files/?d=a.jpg", "a.jpg"),
    ("/data/local-files/?d=deep/b.jpg", "deep/b.jpg"),
    ("/data/local-files/?d=other%2Fdeep%5Cb.jpg", "deep/b.jpg"),
    (f"/data/local-files/?d=data/{quote(ODD)}", ODD),
    (f"/data/local-files/?d={ODD}", ODD),
    ("https://host/images/a.jpg?token=1#x", "a.jpg"),
    ("s3://bucket/deep/b.jpg", "deep/b.jpg"),
    (f"https://host/images/{quote(ODD)}", ODD),
    (quote(ODD), ODD),
    (quote(quote(ODD)), ODD),
    (ODD, ODD),
    (unicodedata.normalize("NFD", ODD), ODD),
    ("%41.jpg", "%41.jpg"),
    ("c.jpg", "deep/deeper/c.jpg"),
    ("two/same.jpg", "two/same.jpg"),
    ("x/two/same.jpg", "two/same.jpg"),
    ("big.jpg", "Big.JPG"),
    ("DEEP/B.jpg", "deep/b.jpg"),
]

NOT_FOUND = [
    ("gone.jpg", "tried {folder}/gone.jpg, any file called gone.jpg below {folder}"),
    ("same.jpg", "2 files below {folder} have its name: one/same.jpg, two/same.jpg"),
    ("../secret.jpg", "any file called secret.jpg below {folder}"),
    ("..%2Fsecret.jpg", "secret.jpg below {folder}"),
    ("{folder}/../secret.jpg", "any file called secret.jpg below {folder}"),
    ("/etc/passwd", "any file called passwd below {folder}"),
    ("deep", "any file called deep below {folder}"),
    ("a\0b.jpg", "below {folder}"),
    ("..", "below {folder}"),
    ("http://[", "below {folder}"),
    ("x" * 5000, "below {folder}"),
]


@pytest.mark.parametrize(("name", "file"), FOUND)
def test_what_a_name_means(name: str, file: str, folder: Path) -> None:
    assert ImageFiles(folder).find(name).file == file


@pytest.mark.parametrize(("name", "why"), NOT_FOUND)
def test_the_places_that_were_tried_are_named(name: str, why: str, folder: Path) -> None:
    found = ImageFiles(folder).find(name.replace("{folder}", str(folder)))
    assert found.file is None and why.replace("{folder}", str(folder)) in found.why


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no folder" in ImageFiles(tmp_path / "gone").find("a.jpg").why


def test_two_names_that_end_alike_are_not_one_image(tmp_path: Path) -> None:
    """Which of the two the file is cannot be told: labels of the other would be learnt on it."""
    write_images(tmp_path)
    data = clean()
    data["images"][0]["file_name"] = "front/scene0.png"
    data["images"][1]["file_name"] = "back/scene0.png"
    found = read(tmp_path, data)
    assert [image["id"] for image in found.data["images"]] == [3, 4]
    assert "front/scene0.png and back/scene0.png would be the same file scene0.png" in found.left_out[0]


def test_who_names_a_file_has_it(tmp_path: Path) -> None:
    write_images(tmp_path)
    data = clean()
    data["images"][1]["file_name"] = "back/scene0.png"
    assert [image["id"] for image in read(tmp_path, data).data["images"]] == [1, 3, 4]
