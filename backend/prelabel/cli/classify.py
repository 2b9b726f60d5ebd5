"""`prelabel classify`: the ImageNet classes of image files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from prelabel.cli.common import errors_in_one_sentence, fail, settings_or_fail

if TYPE_CHECKING:
    from fbnetv3.classification.classifier import Classifier

# Names of files are the user's; brackets in them are no markup.
console = Console(markup=False, highlight=False)

#: The likeliest labels of an image with their probabilities, likeliest first.
Classes = list[tuple[str, float]]


def classify(
    images: Annotated[list[Path], typer.Argument(help="Image files to classify.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="File with the published classifier weights (default: PRELABEL_CLASSIFIER_WEIGHTS)."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Number of classes to show per image.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the likeliest ImageNet classes of image files. Images that cannot be read are named and left out; the exit
    code is then 1.
    """
    found = list(_classify(_load(weights), images, top))
    if as_json:
        typer.echo(json.dumps([_record(path, classes) for path, classes in found], ensure_ascii=False))
    elif found:
        console.print(_table(found))
    if len(found) < len(images):
        fail(f"{len(images) - len(found)} of {len(images)} images could not be read")


def _load(weights: Path | None) -> Classifier:
    from fbnetv3.weights.zoo import CLASSIFIER_URL
    from prelabel.versions.loading import load_classifier

    settings = settings_or_fail(prelabel_classifier_weights=weights)
    with errors_in_one_sentence():
        classifier = load_classifier(settings)
    if classifier is None:
        fail(
            f"there are no classifier weights: fetch {CLASSIFIER_URL} (CC BY-NC 4.0: not for commercial use) and name "
            "the file with --weights or PRELABEL_CLASSIFIER_WEIGHTS"
        )
    return classifier


def _classify(classifier: Classifier, paths: list[Path], top: int) -> Iterator[tuple[Path, Classes]]:
    """Each path with its classes; where it cannot be read, a sentence on stderr instead."""
    from fbnetv3 import ImageError

    errors = Console(stderr=True, highlight=False)
    with Progress(console=errors, transient=True) as progress:
        for path in progress.track(paths, description="images"):
            try:
                [classes] = classifier.classify([path], top)
            except ImageError as error:
                errors.print(f"{path}: {error}", style="yellow", markup=False, soft_wrap=True)
            else:
                yield path, classes


def _record(path: Path, classes: Classes) -> dict[str, object]:
    return {"image": str(path), "classes": [{"label": label, "score": score} for label, score in classes]}


def _table(found: list[tuple[Path, Classes]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("image", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("class", overflow="fold")
    for path, classes in found:
        for rank, (label, score) in enumerate(classes):
            table.add_row("" if rank else str(path), f"{score:.3f}", label)
    return table
