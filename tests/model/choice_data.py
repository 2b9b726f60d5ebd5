"""Pictures with choices to make, and a detector that sees them with one glance: what the tests of choices share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from PIL import Image

from fbnetv3.data.snapshot import Snapshot, write_snapshot
from fbnetv3.detector import Detector
from fbnetv3.images import read_image

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
WEATHER = {"name": "weather", "classes": ["red", "green", "blue"], "multi_label": False}
THINGS = {"name": "things", "classes": ["bright", "dark"], "multi_label": True}

Chosen = dict[str, list[str]]


class Glance:
    """In place of a detector: the feature maps are the colours of the picture, 3 x 8 x 8, and their differences."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def set_image(self, source: Path) -> Any:
        self.seen.append(Path(source).name)
        pixels = read_image(source).astype(np.float32).transpose(2, 0, 1) / 255
        return SimpleNamespace(maps={"trunk3": np.concatenate([pixels, pixels - np.roll(pixels, 1, 0)])})


def glance() -> Detector:
    """A detector as far as choices ask anything of it."""
    return cast(Detector, Glance())


def coloured(folder: Path, colours: Sequence[str], seed: int = 0) -> list[str]:
    """A noisy picture of each colour; their names in order."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    names = []
    for index, colour in enumerate(colours):
        noise = rng.normal(0, 40, (8, 8, 3))
        pixels = (np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8)
        names.append(f"{seed}-{index}.png")
        Image.fromarray(pixels).save(folder / names[-1])
    return names


def chosen_snapshot(
    folder: Path,
    train: Sequence[tuple[str, Chosen | None]],
    holdout: Sequence[tuple[str, Chosen | None]] = (),
    heads: Sequence[dict[str, Any]] = (WEATHER,),
) -> Snapshot:
    """A snapshot of choices alone: each image a colour and what was chosen for it, None where nothing was."""
    rows = [*((*one, "train") for one in train), *((*one, "holdout") for one in holdout)]
    names = coloured(folder / "images", [colour for colour, _, _ in rows])
    images = [
        {"id": index, "file_name": name, "width": 8, "height": 8, "split": split}
        | ({} if chosen is None else {"image_labels": chosen})
        for index, (name, (_, chosen, split)) in enumerate(zip(names, rows, strict=True), start=1)
    ]
    data = {"images": images, "annotations": [], "categories": [], "image_heads": list(heads)}
    return write_snapshot(data, folder / "images", folder / "snapshot.json")


def weather(*colours: str) -> list[tuple[str, Chosen | None]]:
    """Images whose choice is their colour."""
    return [(colour, {"weather": [colour]}) for colour in colours]
