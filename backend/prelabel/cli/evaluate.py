"""`prelabel evaluate`: box and mask AP of any weights on a COCO data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fbnetv3.engines.opening import EngineName
from prelabel.cli.coco_files import ANNOTATIONS, IMAGES, Strict, labelled_images
from prelabel.cli.common import ENGINE, WEIGHTS, errors_in_one_sentence, fail

if TYPE_CHECKING:
    from fbnetv3.judging.average_precision import Evaluation


def evaluate(
    coco: Annotated[Path, typer.Option("--coco", help=ANNOTATIONS)],
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    weights: Annotated[str, typer.Option(help=WEIGHTS)] = "starter",
    split: Annotated[
        str | None,
        typer.Option(help="Evaluate only the images whose `split` in the annotation file is this."),
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(help="Shorter side of the network's input, in pixels.")
    ] = None,
    max_size: Annotated[
        int | None, typer.Option(help="Longest side of the network's input, in pixels.")
    ] = None,
    proposals: Annotated[
        int | None, typer.Option(help="Number of region proposals per image that are classified.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device of the network: cpu, cuda or mps.")] = "cpu",
    engine: Annotated[EngineName, typer.Option(help=ENGINE)] = "auto",
    strict: Strict = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File to write the figures to as well.")
    ] = None,
) -> None:
    """Measure the average precision of weights by COCO's rules, and the time per image."""
    from fbnetv3 import Detector
    from fbnetv3.judging.average_precision import evaluate as measure

    given = {"min_size": min_size, "max_size": max_size, "post_nms_proposals_test": proposals}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with errors_in_one_sentence(), labelled_images(coco, images, strict, split) as found:
        found.check_objects()
        detector = Detector.load(weights, engine=engine, device=device, **settings)
        files = [found.images / record["file_name"] for record in found.data["images"]]
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"{detector.version} on {coco.parent.name}", total=len(files))
            result = measure(detector, found.data, files, lambda: progress.advance(bar))
    _show(result, detector.version)
    if json_file:
        try:
            json_file.write_text(json.dumps(result.as_dict(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            fail(f"cannot write {json_file}: {error.strerror}")


def _show(result: Evaluation, version: str) -> None:
    counts = f"counted: {result.images} images, {result.objects} labels"
    table = Table(
        title=f"{version}: {result.images} images, {result.ms_per_image} ms per image", caption=counts
    )
    for heading in ("", "AP", "AP50", "AP75", "APs", "APm", "APl"):
        table.add_column(heading, justify="right")
    for name, score in (("box", result.box), ("mask", result.mask)):
        if score is not None:
            figures = (score.AP, score.AP50, score.AP75, score.APs, score.APm, score.APl)
            table.add_row(name, *(f"{figure:.4f}" for figure in figures))
    Console().print(table)
