"""`prelabel simulate`: a labelled COCO data set replayed as a person who accepts labels in rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fbnetv3.finetuning.settings import FineTuningSettings
from prelabel.cli import training_options as options
from prelabel.cli.coco_files import ANNOTATIONS, IMAGES, Strict, labelled_images
from prelabel.cli.common import WEIGHTS, errors_in_one_sentence, fail, settings_or_fail
from prelabel.cli.simulations import compare, play

#: Orders that are shown alone where nothing else is asked for; a strategy always has the random one beside it.
UNCOMPARED = ("random", "file")


def simulate(
    coco: Annotated[Path, typer.Option("--coco", help=ANNOTATIONS)],
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    strict: Strict = False,
    rounds: Annotated[
        str, typer.Option(help="Numbers of labelled images at which a fine-tuning starts.")
    ] = "10,20,40,80",
    order: Annotated[
        list[str], typer.Option(help="Order of labelling: random, file or a strategy; repeatable.")
    ] = ["random"],  # noqa: B006 (typer copies it)
    random_share: Annotated[
        float | None, typer.Option(help="Share of images that are drawn at random beside a strategy, 0 to 1.")
    ] = None,
    gate: Annotated[bool, typer.Option(help="Whether the gate decides which weights serve.")] = True,
    masks: Annotated[bool, typer.Option(help="Whether to count masks, or boxes alone.")] = True,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of repetitions, each with a seed of its own.")
    ] = 3,
    out: Annotated[
        Path, typer.Option(help="Folder for results; those that it has are not computed again.")
    ] = Path("simulate"),
    weights: Annotated[str, typer.Option(help=f"What to start from. {WEIGHTS}")] = "starter",
    frozen_stages: options.FrozenStages = None,
    epochs: options.Epochs = None,
    min_size: options.MinSize = None,
    max_size: options.MaxSize = None,
    threads: options.Threads = None,
    device: options.Device = options.DEFAULT.device,
) -> None:
    """Replay a labelled data set: what prelabel learns from 10, 20, ... labels, and the time that it saves.

    Weights are judged as a project's are: by MODEL_SCORE_THRESHOLD and the PRELABEL_SECONDS_* of the environment.
    """
    from fbnetv3.active_learning import RANDOM_SHARE
    from fbnetv3.finetuning.cross_fitting import cross_fit
    from fbnetv3.finetuning.start import spelled_as
    from fbnetv3.simulation import OrderComparison, Replay, SimulationSettings, replay_data
    from fbnetv3.weights import load_checkpoint
    from prelabel.labels.usefulness import effort_of

    environment = settings_or_fail()
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
        with errors_in_one_sentence(), labelled_images(coco, images, strict) as found:
            settings = SimulationSettings(
                _numbers(rounds),
                seeds,
                order[0],
                share,
                gate,
                environment.model_score_threshold,
                effort_of(environment),
                training,
            )
            data = replay_data(found)
            start = spelled_as(data.labels, load_checkpoint(weights))
            replay = Replay(data if masks else data.without_masks(), start, settings, out, cross_fit)
            if len(order) == 1 and order[0] in UNCOMPARED:
                play(replay, names)
            else:
                compare(OrderComparison(replay, order), names)
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror or error}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        fail(f"--rounds takes numbers with commas between them, such as 10,20,40,80, not {text!r}")
