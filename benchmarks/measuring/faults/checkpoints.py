"""Damaged weights: importing them gives a network that sees, or WeightsError."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fbnetv3.config import ConfigError
from fbnetv3.detector import Detector
from fbnetv3.scenes import generate_scene
from fbnetv3.trial import try_out
from fbnetv3.weights import Checkpoint, WeightsError, load_checkpoint, write_checkpoint
from fbnetv3.weights.store import import_file
from measuring.faults.mutation import damaged
from measuring.faults.trials import Broke, Subject, Trial

#: Training draws from the first million.
SCENE = 6_400_000
SIZE = (128, 160)
MIN_SIZE, MAX_SIZE = 64, 96
#: How a checkpoint may be wrapped: {"model": ...}, {"state_dict": ...} with prefixes, or bare.
WRAPPED: tuple[Callable[[dict[str, Any]], Any], ...] = (
    lambda state: {"model": state, "iteration": 9},
    lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
    lambda state: {
        "model": {f"module.{name}": tensor for name, tensor in state.items()},
        "scheduler": {"last": 1},
    },
    lambda state: state,
)


class Checkpoints(Subject):
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._folder = folder
        self._starter = load_checkpoint("starter")
        self._image = generate_scene(SCENE, SIZE).image

    def trial(self, number: int, dice: random.Random) -> Trial:
        """A file of one of two formats, whose bytes or tensors are not what they should be."""
        name = dice.choice(("weights.safetensors", "weights.pth"))
        what = dice.choice(("bytes", "tensors"))
        checkpoint = self._starter
        if what == "tensors":
            checkpoint = replace(checkpoint, state=_odd_state(dice, checkpoint.state))
        content = self._file(dice, checkpoint, name)
        content = damaged(dice, content) if what == "bytes" else content
        return Trial(f"{what} of {name}", {name: content}, lambda: self._attempt(name, content))

    def _file(self, dice: random.Random, checkpoint: Checkpoint, name: str) -> bytes:
        if name.endswith(".pth"):
            buffer = io.BytesIO()
            torch.save(dice.choice(WRAPPED)(dict(checkpoint.state)), buffer)
            return buffer.getvalue()
        file = self._folder / "draft.safetensors"
        write_checkpoint(checkpoint, file)
        return file.read_bytes()

    def _attempt(self, name: str, content: bytes) -> str:
        file = self._folder / name
        file.write_bytes(content)
        try:
            stored = import_file(file, try_out, "tried", folder=self._folder / "store", overwrite=True)
            detector = Detector.load(stored, engine="torch", threads=1, min_size=MIN_SIZE, max_size=MAX_SIZE)
        except (WeightsError, ConfigError) as error:
            if not str(error) or "\n" in str(error):
                raise Broke(f"not one sentence: {str(error)!r}") from None
            return "refused"
        [found] = detector.predict([self._image])
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
            raise Broke("finds what is not a number")
        return "a network"


def _odd_state(dice: random.Random, state: dict[str, Tensor]) -> dict[str, Tensor]:
    changed = dict(state)
    for _ in range(dice.randint(1, 2)):
        name = dice.choice(_likely(dice, changed))
        dice.choice(EDITS)(dice, changed, name)
    return changed


def _likely(dice: random.Random, state: dict[str, Tensor]) -> list[str]:
    """All tensors, or those of the heads, of which there are few."""
    heads = [name for name in state if name.startswith("roi_heads.")]
    return heads if heads and dice.random() < 0.5 else list(state)


def _remove(_: random.Random, state: dict[str, Tensor], name: str) -> None:
    del state[name]


def _remove_part(dice: random.Random, state: dict[str, Tensor], name: str) -> None:
    prefix = ".".join(name.split(".")[: dice.randint(1, 4)])
    for other in [other for other in state if other.startswith(prefix)][: len(state) - 1]:
        del state[other]


def _rename(dice: random.Random, state: dict[str, Tensor], name: str) -> None:
    state[dice.choice((f"_orig_mod.{name}", f"{name}_old", name.upper(), "x"))] = state.pop(name)


def _poison(dice: random.Random, state: dict[str, Tensor], name: str) -> None:
    tensor = state[name].clone()
    if tensor.is_floating_point() and tensor.numel():
        tensor.view(-1)[dice.randrange(tensor.numel())] = dice.choice(
            (float("nan"), float("inf"), -float("inf"))
        )
    state[name] = tensor


def _reshape(dice: random.Random, state: dict[str, Tensor], name: str) -> None:
    tensor = state[name]
    shapes = (tensor.reshape(-1), tensor[None], tensor[:-1] if tensor.ndim else tensor, torch.zeros(0))
    state[name] = dice.choice(shapes).clone()


def _retype(dice: random.Random, state: dict[str, Tensor], name: str) -> None:
    state[name] = state[name].to(dice.choice((torch.int32, torch.bool, torch.float64, torch.bfloat16)))


EDITS = (_remove, _remove_part, _rename, _poison, _reshape, _retype)
