"""The demo's photos: upright in every reader, kept once made, and the right files of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fbnetv3.images import read_image
from fbnetv3.scenes import generate_scene
from prelabel.demo import images
from prelabel.demo.images import folder_images, scene_photos, write_photo


@pytest.mark.parametrize("turned", [False, True])
def test_a_photo_reads_upright(tmp_path: Path, turned: bool) -> None:
    scene = generate_scene(3, (240, 320)).image
    write_photo(Image.fromarray(scene), tmp_path / "photo.jpg", turned=turned)
    with Image.open(tmp_path / "photo.jpg") as stored:
        assert stored.size == ((240, 320) if turned else (320, 240))
    difference = read_image(tmp_path / "photo.jpg").astype(int) - scene
    assert np.abs(difference).mean() < 5, "JPEG changes a little, a wrong turn changes everything"


def test_scenes_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SCENES", 3)
    monkeypatch.setattr(images, "SIZES", ((320, 240),))
    first = list(scene_photos(tmp_path / "scenes"))
    first[1].write_bytes(b"kept")
    first[2].unlink()
    assert list(scene_photos(tmp_path / "scenes")) == first
    assert first[1].read_bytes() == b"kept"
    assert read_image(first[2]).shape[:2] == (320, 240), "upright, though it lies on its side"


def test_a_folder_gives_its_images_and_those_below_it(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "film.mp4", ".hidden.jpg", ".trash/d.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    assert folder_images(tmp_path) == [tmp_path / name for name in ("a.png", "b.JPG", "deep/er/c.webp")]
