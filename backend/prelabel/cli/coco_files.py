"""`--coco`, `--images` and `--strict`, which several commands share: the files, and what reading them came upon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from fbnetv3.data.coco_files import CocoDataSet

SENTENCES = 5
"""So many of those that are left out are named; they are mostly of one kind."""

ANNOTATIONS = "Annotation file in COCO's format, or an exported zip with the file and its images."
IMAGES = "Folder with the images of the annotation file; not needed for a zip that has them."

Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Stop at labels and images that cannot be used, instead of leaving them out."
    ),
]


@contextmanager
def labelled_images(
    coco: Path, images: Path | None, strict: bool, split: str | None = None, quiet: bool = False
) -> Iterator[CocoDataSet]:
    """The data set, once stderr says what was repaired and left out; files of a zip are there until the end.

    Raises CocoError.
    """
    from fbnetv3.data.coco_files import read_data_set, unpacked

    with unpacked(coco, images) as files:
        found = read_data_set(files.annotations, files.images, split, strict=strict, name=files.name)
        console = Console(stderr=True, quiet=quiet)
        for line in told(found):
            console.print(escape(line), highlight=False, soft_wrap=True)
        yield found


def told(found: CocoDataSet) -> list[str]:
    """The lines for people; none where the files are as they should be."""
    lines = [f"note: {sentence}" for sentence in found.repaired]
    if found.left_out:
        labels, images = _count(found.labels_left_out, "label"), _count(found.images_left_out, "image")
        lines.append(f"left out: {labels} and {images}; with --strict that is an error")
        lines += [f"  {sentence}" for sentence in found.left_out[:SENTENCES]]
    if len(found.left_out) > SENTENCES:
        lines.append(f"  and {len(found.left_out) - SENTENCES} more")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
