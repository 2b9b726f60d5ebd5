"""`prelabel predict`: instances of image files, for Label Studio, as COCO results, or drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from fbnetv3.engines.opening import EngineName
from prelabel.cli.common import ENGINE, WEIGHTS, errors_in_one_sentence, fail
from prelabel.settings import Settings

if TYPE_CHECKING:
    from fbnetv3 import Detector, Instances
    from fbnetv3.arrays import Array


USUAL: float = Settings.model_fields["model_score_threshold"].default
"""The lowest score of what weights say nothing of."""

Writer = Callable[[int, Path, "Instances"], list[dict[str, Any]]]


class Format(StrEnum):
    """How instances are written."""

    label_studio = "label-studio"
    coco = "coco"


def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files to predict.")],
    out: Annotated[Path | None, typer.Option(help="File to write to instead of the terminal.")] = None,
    format: Annotated[
        Format, typer.Option(help="Tasks for Label Studio to import, or COCO results.")
    ] = Format.label_studio,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for copies of the images with the predictions drawn in.")
    ] = None,
    weights: Annotated[str, typer.Option(help=WEIGHTS)] = "starter",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Lowest score of the predictions that are written (default: for each label what the weights carry, "
            f"else {USUAL}).",
        ),
    ] = None,
    label_config: Annotated[
        Path | None,
        typer.Option(
            help="File with the project's labelling config (default: what `prelabel label-config` prints)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device of the network: cpu, cuda or mps.")] = "cpu",
    engine: Annotated[EngineName, typer.Option(help=ENGINE)] = "auto",
) -> None:
    """Predict the objects in image files. Those that cannot be read are named and left out; the exit code is 1 then."""
    from fbnetv3 import Detector

    try:
        with errors_in_one_sentence():
            detector = Detector.load(weights, engine=engine, device=device)
            shown_from = _shown_from(weights, threshold, detector.labels)
            write = _writer(format, detector, shown_from, label_config)
            results: list[Any] = []
            unread = 0
            for number, (path, pixels) in enumerate(_read_images(images, detector.max_pixels)):
                if pixels is None:
                    unread += 1
                    continue
                [found] = detector.predict([pixels], shown_from)
                results.extend(write(number, path, found))
                if draw is not None:
                    _draw(draw / f"{number + 1:04}-{path.stem}.png", pixels, found)
            _write(results, out)
    except OSError as error:
        fail(f"cannot write {error.filename}: {error.strerror}")
    if unread:
        fail(f"{unread} of {len(images)} images could not be read")


def _shown_from(weights: str, threshold: float | None, labels: Sequence[str]) -> dict[str, float]:
    """The lowest score of each label."""
    from fbnetv3.judging.operating_point import thresholds_in
    from fbnetv3.weights.folders import weights_file

    if threshold is not None:
        return dict.fromkeys(labels, threshold)
    return dict.fromkeys(labels, USUAL) | (thresholds_in(weights_file(weights)) or {})


def _read_images(paths: list[Path], max_pixels: int) -> Iterator[tuple[Path, Array | None]]:
    """Each path with its pixels, or None where it cannot be read; what is wrong with it goes to stderr."""
    from fbnetv3.images import ImageError, read_image

    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True) as progress:
        for path in progress.track(paths, description="images"):

            def say(text: object, path: Path = path) -> None:
                console.print(f"{path}: {text}", style="yellow", markup=False, soft_wrap=True)

            try:
                pixels = read_image(path, max_pixels, warn=say)
            except ImageError as error:
                say(error)
                pixels = None
            yield path, pixels


def _writer(
    format: Format, detector: Detector, shown_from: Mapping[str, float], config: Path | None
) -> Writer:
    """How the instances of an image (its number from 0, its path) become JSON records."""
    if format is Format.coco:
        return _to_coco
    from prelabel.labelstudio.config.image_values import data_with, shown_key
    from prelabel.labelstudio.config.label_spec import LabelSpec
    from prelabel.labelstudio.config.repeaters import expand, first_page
    from prelabel.labelstudio.config.writing import label_config as config_for
    from prelabel.labelstudio.regions.predictions import image_score, to_prediction, to_regions

    xml = _read(config) if config else config_for(detector.labels, has_masks=detector.has_masks)
    spec = LabelSpec.from_config(xml, detector.labels, USUAL, shown_from)
    if not spec.image_keys:
        why = "; ".join(spec.left_out)
        fail(f"the labelling config has no control on an image that can be pre-labelled{why and f': {why}'}")
    key = first_page(xml, spec.image_keys[0])
    try:
        sample = data_with(key, "")
    except ValueError:
        fail(f'one file is not enough for an image that is taken from {shown_key(key)}: use value="$image"')
    spec = LabelSpec.from_config(expand(xml, sample).xml, detector.labels, USUAL, shown_from)

    def to_task(number: int, path: Path, found: Instances) -> list[dict[str, Any]]:
        controls = spec.controls_for(key)
        score = image_score(found, controls)
        prediction = to_prediction(to_regions(found, controls), score, detector.version)
        return [{"data": data_with(key, str(path)), "predictions": [prediction]}]

    return to_task


def _read(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"cannot read {config}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{config} is not text")


def _to_coco(number: int, path: Path, found: Instances) -> list[dict[str, Any]]:
    from fbnetv3.data.coco import encode_mask

    records = []
    for i, (x0, y0, x1, y1) in enumerate(found.boxes.tolist()):
        record: dict[str, Any] = {
            "image_id": number,
            "file_name": str(path),
            "category_id": int(found.classes[i]),
            "category_name": found.labels[i],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(found.scores[i]),
        }
        if found.masks is not None:
            record["segmentation"] = encode_mask(found.masks[i], found.image_size)
        records.append(record)
    return records


def _draw(target: Path, pixels: Array, found: Instances) -> None:
    from fbnetv3.drawing import draw

    target.parent.mkdir(parents=True, exist_ok=True)
    draw(pixels, found).save(target)


def _write(results: list[Any], out: Path | None) -> None:
    text = json.dumps(results)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
