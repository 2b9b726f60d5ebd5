"""`prelabel simulate`: a labelled COCO data set replayed as a person who accepts labels in rounds."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from prelabel.cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fbnetv3.simulation import Replay, RoundResult

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
    coco: Annotated[Path, typer.Option("--coco", help="Annotation file in COCO's format.")],
    images: Annotated[Path, typer.Option("--images", help="Folder that its file names start from.")],
    rounds: Annotated[str, typer.Option(help="Labelled images at which a training starts.")] = "10,20,40,80",
    order: Annotated[str, typer.Option(help="Which images come next: random, file.")] = "random",
    seeds: Annotated[int, typer.Option(min=1, help="How often, each time with another seed.")] = 3,
    out: Annotated[
        Path, typer.Option(help="Folder for results; what it holds is not computed again.")
    ] = Path("simulate"),
    weights: Annotated[str, typer.Option(help="Zoo name or weights file to start from.")] = "starter",
    frozen_stages: Annotated[
        int | None, typer.Option(min=0, max=5, help="First stages that training leaves as they are.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: one per core.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N.")] = "cpu",
) -> None:
    """Replay a labelled data set: what prelabel learns from 10, 20, ... labels, and the time that it saves."""
    from fbnetv3 import ConfigError, WeightsError
    from fbnetv3.finetuning import FineTuningSettings, fine_tune
    from fbnetv3.learning.coco import CocoError
    from fbnetv3.simulation import Replay, SimulationError, SimulationSettings, read_replay_data
    from fbnetv3.weights import load_checkpoint

    training = FineTuningSettings(frozen_stages=frozen_stages, threads=threads, device=device)
    try:
        settings = SimulationSettings(_numbers(rounds), seeds, order, training=training)
        replay = Replay(read_replay_data(coco, images), load_checkpoint(weights), settings, out, fine_tune)
        _run(replay, {"data": str(coco), "weights": weights})
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

    console = Console(stderr=True)
    pool = len(replay.data.pool)
    if replay.settings.rounds[-1] > pool:
        console.print(f"There are {pool} images to label: larger rounds become {pool}.", highlight=False)
    with _shown(replay, console) as shown:
        start, results = shown.run()
    settings = replay.settings.cut_to(pool)
    content = {**names, **_circumstances(replay), **report(start, results)}
    content["settings"] = json.loads(json.dumps(asdict(settings)))
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (replay.folder / "simulate.json").write_text(text, encoding="utf-8")
    runs = "1 seed" if settings.seeds == 1 else f"{settings.seeds} seeds"
    title = f"{Path(names['data']).parent.name}, {names['weights']}, {settings.order} order, {runs}"
    plot(content, replay.folder / "simulate.png", title)
    _show(content, title)
    console.print(
        f"{replay.folder}/simulate.json and simulate.png have the curves.", highlight=False, markup=False
    )


@contextmanager
def _shown(replay: Replay, console: Console) -> Iterator[Replay]:
    """The same replay, telling on stderr what it does."""
    from dataclasses import replace

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")

        def tell(result: RoundResult) -> None:
            end = "promoted" if result.promoted else "rejected"
            line = f"seed {result.seed}, {result.labels} labels: {end}. {result.reason}"
            progress.console.print(escape(line), highlight=False, soft_wrap=True)

        yield replace(
            replay, on_round=tell, on_step=lambda text: progress.update(task, description=escape(text))
        )


def _circumstances(replay: Replay) -> dict[str, Any]:
    """What one must know to compare the figures with others."""
    return {
        "weights_digest": replay.start.digest,
        "model": replay.start.model,
        "images": {
            "to_label": len(replay.data.pool),
            "for_figures": len(replay.data.figures),
            "figures_from": replay.data.split,
        },
        "labels": list(replay.data.labels),
        "versions": {name: version(name) for name in ("prelabel", "torch")},
    }


def _show(content: dict[str, Any], title: str) -> None:
    caption = "means over the seeds; false positives per image; a person's minutes so far are estimates"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for heading, *_ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in (content["start"], *content["rounds"]):
        table.add_row(*(_figure(one.get(key), digits, by) for _, key, digits, by in COLUMNS))
    Console().print(table)


def _figure(value: float | None, digits: int, by: int) -> str:
    return "-" if value is None else f"{value / by:.{digits}f}"
