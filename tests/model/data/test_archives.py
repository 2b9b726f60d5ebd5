"""A COCO export as one zip: found by what is in it, and unpacked nowhere but where it should be."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from coco_samples import COUNT, clean, write_images

from fbnetv3.data.coco import CocoError, CocoExamples
from fbnetv3.data.coco_files import archives, read_data_set, unpacked


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_images(folder)
    return folder


def export(file: Path, pictures: Path | None, members: dict[str, Any], prefix: str = "images/") -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
        for picture in sorted(pictures.iterdir()) if pictures else ():
            archive.write(picture, f"{prefix}{picture.name}")
    return file


def label_studio() -> dict[str, Any]:
    data = clean()
    for image in data["images"]:
        image["file_name"] = f"../data/media/upload/5/1a2b3c4d-{image['file_name']}"
    return data


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("result.json", "images/"),
        ("result.json", "images/1a2b3c4d-"),
        ("annotations/instances_default.json", "images/default/"),
        ("_annotations.coco.JSON", ""),
        ("a/result.json", "a\\images\\"),
    ],
)
def test_the_exports_of_tools(name: str, prefix: str, pictures: Path, tmp_path: Path) -> None:
    others = {
        "classes.json": ["apple"],
        "__MACOSX/result.json": clean(),
        "broken.json": b"{",
        "readme.txt": b"hello",
    }
    file = export(tmp_path / "export.zip", pictures, {**others, name: label_studio()}, prefix)
    with unpacked(file, None) as files:
        found = read_data_set(files.annotations, files.images, name=files.name)
        assert len(found.data["images"]) == COUNT and found.left_out == ()
        assert CocoExamples(found.data, found.images)[0].image.shape[2] == 3
        assert str(file) in found.name and name in found.name
    assert not files.annotations.exists(), "nothing stays behind"


def test_images_beside_a_zip_without_them(pictures: Path, tmp_path: Path) -> None:
    file = export(tmp_path / "export.zip", None, {"result.json": label_studio()})
    with unpacked(file, pictures) as files:
        assert len(read_data_set(files.annotations, files.images).data["images"]) == COUNT


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"../evil.jpg": b"x"}, "is not safe to unpack: it has a file '../evil.jpg'"),
        ({"..\\evil.jpg": b"x"}, "is not safe to unpack"),
        ({"images/../../evil.jpg": b"x"}, "is not safe to unpack"),
        ({"/evil.jpg": b"x"}, "is not safe to unpack: it has a file '/evil.jpg'"),
        ({"C:/evil.jpg": b"x"}, "is not safe to unpack"),
        ({link("images"): b"/etc"}, "is not safe to unpack: 'images' is a link"),
        ({"a.json": {"images": [], "annotations": []}, "b.json": {"images": [], "annotations": []}}, "has 2 COCO"),
        ({"a.json": {"images": []}}, "has no COCO file in it"),
        ({}, "has no COCO file in it"),
    ],
)  # fmt: skip
def test_what_is_refused(members: dict[Any, Any], says: str, tmp_path: Path) -> None:
    file = export(tmp_path / "export.zip", None, {"fine.txt": b"fine", **members})
    with pytest.raises(CocoError) as caught, unpacked(file, None):
        pass
    assert says in str(caught.value) and str(file) in str(caught.value)
    assert not list(tmp_path.rglob("evil*"))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    file = export(tmp_path / "bomb.zip", None, {"zeros.jpg": bytes(1 << 22)})
    with pytest.raises(CocoError, match="times its size"), unpacked(file, None):
        pass
    monkeypatch.setattr(archives, "MOST_FILES", 0)
    with pytest.raises(CocoError, match="has 1 files"), unpacked(file, None):
        pass


@pytest.mark.parametrize("at", [0.3, 0.6, 0.99])
def test_a_damaged_zip(at: float, pictures: Path, tmp_path: Path) -> None:
    whole = export(tmp_path / "export.zip", pictures, {"result.json": clean()}).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: int(at * len(whole))])
    broken = tmp_path / "broken.zip"
    broken.write_bytes(whole[:200] + bytes(20) + whole[220:])
    for file in (cut, broken):
        with pytest.raises(CocoError, match="is a damaged zip file"), unpacked(file, None):
            pass


def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("result.json", "{}")
    raw = bytearray(content.getvalue())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    file = tmp_path / "locked.zip"
    file.write_bytes(raw)
    with pytest.raises(CocoError, match="is encrypted"), unpacked(file, None):
        pass


def test_a_file_without_its_images(tmp_path: Path) -> None:
    with pytest.raises(CocoError, match="give their folder by --images"), unpacked(tmp_path / "a.json", None):
        pass
