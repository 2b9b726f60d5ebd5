"""`prelabel simulate`: a labelled COCO data set replayed as a person who accepts labels in rounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from prelabel.cli.coco_files import ANNOTATIONS, IMAGES, Strict, labelled_images
from prelabel.cli.common import fail
from prelabel.cli.compared_orders import compare
from prelabel.cli.simulations import circumstances, figure, shown, tell_where, write_json

if TYPE_CHECKING:
    from fbnetv3.simulation import Replay

#: Orders that are shown alone where nothing else is asked for; a strategy always has the random one beside it.
UNCOMPARED = ("random", "file")
#: Heading, key, digits, divided by.
COLUMNS = (
    ("labels", "labels", 0, 1),
    ("objects", "objects", 0, 1),
    ("box\nAP50", "box_AP50", 3, 1),
    ("mask\nAP50", "mask_AP50", 3, 1),
    ("mask\nAP", "mask_AP", 3, 1),
    ("no\nedit", "no_edit_share", 3, 1),
    ("false\npos.", "false_positives_per_image", 2, 1),
    ("training\ns", "train_seconds", 0, 1),
    ("person\nmin", "person_seconds", 1, 60),
    ("without\nmin", "person_seconds_without", 1, 60),
)


def simulate(
    coco: Annotated[Path, typer.Option("--coco", help=ANNOTATIONS)],
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    strict: Strict = False,
    rounds: Annotated[str, typer.Option(help="Labelled images at which a training starts.")] = "10,20,40,80",
    order: Annotated[
        list[str], typer.Option(help="Which images come next: random, file, a strategy; may be repeated.")
    ] = ["random"],  # noqa: B006 (typer copies it)
    random_share: Annotated[
        float | None, typer.Option(help="Share of images that a strategy leaves to chance, 0 to 1.")
    ] = None,
    gate: Annotated[bool, typer.Option(help="Whether the gate decides what serves.")] = True,
    masks: Annotated[bool, typer.Option(help="Whether masks count, or boxes alone.")] = True,
    seeds: Annotated[int, typer.Option(min=1, help="How often, each time with another seed.")] = 3,
    out: Annotated[
        Path, typer.Option(help="Folder for results; what it holds is not computed again.")
    ] = Path("simulate"),
    weights: Annotated[str, typer.Option(help="Zoo name or weights file to start from.")] = "starter",
    frozen_stages: Annotated[
        int | None, typer.Option(min=0, max=5, help="First stages that training leaves as they are.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="How often training sees each image.")] = None,
    min_size: Annotated[int | None, typer.Option(help="Shorter side of the network's input.")] = None,
    max_size: Annotated[int | None, typer.Option(help="Longest side of the network's input.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: one per core.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N.")] = "cpu",
) -> None:
    """Replay a labelled data set: what prelabel learns from 10, 20, ... labels, and the time that it saves."""
    from fbnetv3 import ConfigError, WeightsError
    from fbnetv3.active_learning import RANDOM_SHARE
    from fbnetv3.data.coco import CocoError
    from fbnetv3.finetuning import FineTuningSettings, fine_tune
    from fbnetv3.finetuning.start import spelled_as
    from fbnetv3.simulation import Comparison, Replay, SimulationError, SimulationSettings, replay_data
    from fbnetv3.weights import load_checkpoint

    training = FineTuningSettings(
        frozen_stages=frozen_stages,
        epochs=epochs,
        min_size=min_size,
        max_size=max_size,
        threads=threads,
        device=device,
    )
    names = {"data": str(coco), "weights": weights}
    share = RANDOM_SHARE if random_share is None else random_share
    try:
        settings = SimulationSettings(_numbers(rounds), seeds, order[0], share, gate, training=training)
        with labelled_images(coco, images, strict) as found:
            data = replay_data(found)
            start = spelled_as(data.labels, load_checkpoint(weights))
            replay = Replay(data if masks else data.without_masks(), start, settings, out, fine_tune)
            if len(order) == 1 and order[0] in UNCOMPARED:
                _run(replay, names)
            else:
                compare(Comparison(replay, order), names)
    except (CocoError, ConfigError, SimulationError, WeightsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror or error}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        fail(f"--rounds takes numbers with commas between them, such as 10,20,40,80, not {text!r}")


def _run(replay: Replay, names: dict[str, str]) -> None:
    from fbnetv3.simulation import report
    from fbnetv3.simulation.plot import plot

    with shown(replay) as (telling, _):
        start, results = telling.run()
    settings = replay.settings
    content = {**names, **circumstances(replay), **report(start, results)}
    write_json(content, replay.folder / "simulate.json")
    runs = "1 seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
    title = f"{Path(names['data']).parent.name}, {names['weights']}, {settings.order} order, {runs}"
    plot(content, replay.folder / "simulate.png", title)
    _show(content, title)
    tell_where(replay.folder, "simulate")


def _show(content: dict[str, Any], title: str) -> None:
    caption = "means over the seeds; false positives per image; a person's minutes so far are estimates"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for heading, *_ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in (content["start"], *content["rounds"]):
        table.add_row(*(figure(one.get(key), digits, by) for _, key, digits, by in COLUMNS))
    Console().print(table)
