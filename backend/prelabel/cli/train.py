"""`prelabel train`: fine-tune on a COCO data set here and now, or ask for a training run of a project."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fbnetv3.finetuning.settings import FineTuningSettings
from prelabel.cli import training_options as options
from prelabel.cli.coco_files import ANNOTATIONS, IMAGES, Strict, labelled_images
from prelabel.cli.common import INTERRUPTED, PROJECT, WEIGHTS, errors_in_one_sentence, fail, settings_or_fail
from prelabel.ids import LARGEST_ID
from prelabel.settings import load_settings

if TYPE_CHECKING:
    from fbnetv3.finetuning import OnProgress, Report

COLUMNS = (
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("steps,"),
    TimeRemainingColumn(),
    TextColumn("left, loss {task.fields[loss]:.3f}"),
)


def train(
    project: Annotated[
        int | None, typer.Option(min=1, max=LARGEST_ID, help=f"Ask the worker for a run. {PROJECT}")
    ] = None,
    coco: Annotated[Path | None, typer.Option("--coco", help=f"Train here. {ANNOTATIONS}")] = None,
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    strict: Strict = False,
    weights: Annotated[str, typer.Option(help=f"What to start from. {WEIGHTS}")] = "starter",
    out: Annotated[
        Path, typer.Option(help="Folder for weights and records; the same command continues in it.")
    ] = Path("train"),
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="Label that starts as one of the weights, such as lorry=truck; repeatable."
        ),
    ] = None,
    frozen_stages: options.FrozenStages = None,
    epochs: options.Epochs = None,
    learning_rate: options.LearningRate = None,
    batch_size: options.BatchSize = None,
    min_size: options.MinSize = None,
    max_size: options.MaxSize = None,
    anchors: options.AnchorSizes = None,
    flip: options.Flip = options.DEFAULT.flip,
    norm: options.NormLayers = None,
    seed: options.Seed = options.DEFAULT.seed,
    cache_mib: options.CacheMib = options.DEFAULT.cache_bytes // options.MIB,
    device: options.Device = options.DEFAULT.device,
    devices: options.Devices = options.DEFAULT.devices,
    threads: options.Threads = None,
) -> None:
    """Fine-tune on accepted labels: on those of a project (in the background), or on COCO files (here).

    What no option says is chosen for the data, and printed with its reason. The weights are judged as a project's
    are: by MODEL_SCORE_THRESHOLD and the PRELABEL_SECONDS_* of the environment.
    """
    if project is not None and coco is None:
        _request(project)
        return
    if project is not None or coco is None:
        fail("give either --project, or --coco and --images")
    settings = FineTuningSettings(
        frozen_stages=frozen_stages,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        min_size=min_size,
        max_size=max_size,
        anchor_sizes=options.anchor_sizes(anchors),
        flip=flip,
        norm=norm,
        seed=seed,
        cache_bytes=cache_mib * options.MIB,
        device=device,
        devices=devices,
        threads=threads,
    )
    _train_here(coco, images, strict, weights, out, _sources(map_ or []), settings)


def _request(project: int) -> None:
    from prelabel.folders import WORKER_LOCK, is_held
    from prelabel.store.database import Database
    from prelabel.worker.wake_up import WakeUpMessages, request_and_wake

    with errors_in_one_sentence():
        settings = load_settings()
        database = Database.open(settings.database_url)
        run = request_and_wake(database, WakeUpMessages(settings), project, "prelabel train")
        database.close()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"Run {run.id} of project {project} is queued; `prelabel runs log {run.id} --follow` shows it."
    )
    home = settings.prelabel_home
    if not is_held(home / WORKER_LOCK):
        console.print(f"No worker runs for {home}: `prelabel serve` or `prelabel worker` starts one.")


def _sources(pairs: list[str]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {}
    for pair in pairs:
        label, equals, source = pair.partition("=")
        if not (label.strip() and equals and source.strip()):
            fail(f"--map takes label=label of the weights, such as lorry=truck, not {pair!r}")
        sources.setdefault(label.strip(), []).append(source.strip())
    return sources


def _train_here(
    coco: Path,
    images: Path | None,
    strict: bool,
    weights: str,
    out: Path,
    sources: dict[str, list[str]],
    settings: FineTuningSettings,
) -> None:
    from fbnetv3.data.snapshot import snapshot_of_coco
    from fbnetv3.finetuning import train_and_judge
    from fbnetv3.weights import load_checkpoint
    from prelabel.labels.usefulness import effort_of

    environment = settings_or_fail()
    is_first = os.environ.get("RANK", "0") == "0"
    console = Console(stderr=True, quiet=not is_first)
    with _sentences(out), labelled_images(coco, images, strict, quiet=not is_first) as found:
        snapshot, start = snapshot_of_coco(found), load_checkpoint(weights)
        with _shown(console, out) as on_progress:
            report = train_and_judge(
                start,
                snapshot,
                out,
                settings,
                sources=sources,
                effort=effort_of(environment),
                score_threshold=environment.model_score_threshold,
                on_progress=on_progress,
            )
    if is_first:
        _print(report, out)


@contextmanager
def _sentences(out: Path) -> Iterator[None]:
    """What goes wrong ends the command in one sentence; the folder of the results is made here."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with errors_in_one_sentence():
            yield
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror or error}")


@contextmanager
def _shown(console: Console, folder: Path) -> Iterator[OnProgress]:
    """A bar on the terminal; the log's lines above it, and in train.log."""
    from fbnetv3.finetuning import Progress as TrainingProgress
    from fbnetv3.finetuning import log_progress

    root = logging.getLogger()
    root.setLevel(logging.INFO)
    in_file = logging.FileHandler(folder / "train.log", encoding="utf-8")
    in_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    with Progress(*COLUMNS, console=console, transient=True) as bar:
        on_terminal = RichHandler(console=bar.console, show_path=False, show_level=False, highlighter=None)
        for handler in (in_file, on_terminal):
            root.addHandler(handler)
        task = bar.add_task("", total=None, loss=0.0)

        def show(progress: TrainingProgress) -> None:
            log_progress(progress)
            loss = sum(progress.losses.values())
            bar.update(task, total=progress.steps, completed=progress.step, loss=loss)

        try:
            yield show
        except KeyboardInterrupt:
            bar.stop()
            console.print("Stopped; the same command goes on from the last checkpoint.")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            for handler in (in_file, on_terminal):
                root.removeHandler(handler)
            in_file.close()


def _print(report: Report, out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    figures, decision = report.comparison.candidate, report.comparison.decision
    if figures.images:
        masks = "" if figures.mask_AP50 is None else f", mask AP50 {figures.mask_AP50:.3f}"
        console.print(
            f"On {figures.images} images that were left out: box AP50 {figures.box_AP50:.3f}{masks}, "
            f"{figures.no_edit_share:.0%} of {figures.objects} objects need no edit, "
            f"{figures.false_positives_per_image:.1f} false positives per image."
        )
    outcome = "Better than the weights it started from" if decision.promoted else "Not better"
    console.print(f"{outcome}: {decision.reason}")
    console.print(
        f"{out / 'weights.safetensors'} after {report.steps} steps in {report.train_seconds:.0f} s."
    )
