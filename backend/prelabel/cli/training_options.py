"""Options of the commands that fine-tune: one for each hyper-parameter, with the range and meaning that it has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fbnetv3.config import Norm
from fbnetv3.finetuning.settings import HYPER_PARAMETERS, FineTuningSettings
from prelabel.cli.common import fail

MIB = 1 << 20

DEFAULT = FineTuningSettings()


def _option(name: str, *declarations: str, note: str = "") -> Any:
    """`declarations`: the option's names where they are not the hyper-parameter's. A bound that is itself no value
    is checked later, with all others."""
    one = HYPER_PARAMETERS[name]
    return typer.Option(*declarations, min=one.ge, max=one.le, help=one.description + note)


FrozenStages = Annotated[int | None, _option("frozen_stages")]
Epochs = Annotated[float | None, _option("epochs")]
LearningRate = Annotated[float | None, _option("learning_rate")]
BatchSize = Annotated[int | None, _option("batch_size")]
MinSize = Annotated[int | None, _option("min_size")]
MaxSize = Annotated[int | None, _option("max_size")]
AnchorSizes = Annotated[str | None, _option("anchor_sizes", "--anchors", note=" Such as 16,32,64,96,128.")]
Flip = Annotated[bool, _option("flip")]
NormLayers = Annotated[Norm | None, _option("norm")]
Seed = Annotated[int, _option("seed")]
CacheMib = Annotated[int, _option("cache_bytes", "--cache-mib", note=" In MiB.")]
Device = Annotated[str, _option("device")]
Devices = Annotated[int, _option("devices")]
Threads = Annotated[int | None, _option("threads")]


def anchor_sizes(text: str | None) -> tuple[float, ...] | None:
    """What --anchors says; ends the command where that is no list of numbers."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else None
    except ValueError:
        fail(f"--anchors takes numbers with commas between them, such as 16,32,64,96,128, not {text!r}")
