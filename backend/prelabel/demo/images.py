"""The images of the demo: generated scenes as photos, or every image of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from fbnetv3.scenes import generate_scene

SCENES = 24
FIRST_SEED = 7_000_000  # far from the scenes that the starter weights were trained and judged on
SIZES = ((1200, 1600), (1080, 1440), (1440, 1080), (1080, 1620))  # (height, width) in pixels
JPEG_QUALITY = 90

# A camera held upright: the stored pixels lie on their side and EXIF says so, as many phones do it.
TURNED_SCENE = 2
EXIF_ORIENTATION, TURN_CLOCKWISE = 0x0112, 6

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})  # what Label Studio takes and shows


def scene_photos(folder: Path) -> Iterator[Path]:
    """Yield the demo's photos one by one, drawing those that the folder does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(SCENES):
        photo = folder / f"scene-{index + 1:02}.jpg"
        if not photo.exists():
            scene = generate_scene(FIRST_SEED + index, SIZES[index % len(SIZES)])
            write_photo(Image.fromarray(scene.image), photo, turned=index == TURNED_SCENE)
        yield photo


def write_photo(upright: Image.Image, path: Path, *, turned: bool = False) -> None:
    """Save as JPEG, whole or not at all. `turned`: lying on its side, with the EXIF that says so."""
    exif = Image.Exif()
    if turned:
        upright = upright.transpose(Image.Transpose.ROTATE_90)
        exif[EXIF_ORIENTATION] = TURN_CLOCKWISE
    partial = path.with_suffix(".partial")
    upright.save(partial, "JPEG", quality=JPEG_QUALITY, exif=exif)
    partial.replace(path)


def folder_images(folder: Path) -> list[Path]:
    """Every image file in the folder and below it, sorted; hidden files and folders are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not _is_hidden(path.relative_to(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
