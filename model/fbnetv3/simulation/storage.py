"""A simulation's folder: finished rounds are kept, so that the same command goes on where it was interrupted.

settings.json                       what the results belong to
seed0/labels10/result.json          written last: a round that has it is done
seed0/labels10/weights.safetensors  of a promoted candidate
seed0/labels10/training/            plan, metrics and TensorBoard's events of its fine-tuning, and of the round
                                    that serves the weights of its folds
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fbnetv3.errors import FbnetError
from fbnetv3.files import write_whole
from fbnetv3.finetuning.cross_fitting import LeftOut, kept_folds
from fbnetv3.folds import FOLD
from fbnetv3.simulation.round_results import RoundResult
from fbnetv3.weights import Checkpoint
from fbnetv3.weights.safetensors_file import read_safetensors, write_checkpoint

SETTINGS = "settings.json"
RESULT = "result.json"
WEIGHTS = "weights.safetensors"
TRAINING = "training"
FEATURES = "features"
#: Where a fine-tuning can go on from; of no use when it is done, and larger than all the rest.
STATE = "state.pt"


class SimulationError(FbnetError):
    """A simulation cannot be run as asked; the message says in one sentence why."""


@dataclass(frozen=True)
class Storage:
    """The files below `folder`."""

    folder: Path

    def claim(self, settings: dict[str, Any]) -> None:
        """Say what this folder's results belong to. Raises SimulationError when it is something else."""
        file = self.folder / SETTINGS
        settings = json.loads(json.dumps(settings))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                write_whole(json.dumps(settings, indent=2).encode() + b"\n", file)
            known = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise SimulationError(f"cannot use {file}: {error}") from None
        if known != settings:
            other = ", ".join(key for key in settings if known.get(key) != settings[key])
            raise SimulationError(
                f"{self.folder} holds a simulation with another {other}; choose another folder"
            )

    def finished(self, seed: int, labels: int) -> RoundResult | None:
        """A round's result, if it is done."""
        file = self._round(seed, labels) / RESULT
        if not file.exists():
            return None
        return RoundResult.from_dict(json.loads(file.read_text(encoding="utf-8")))

    def finish(self, result: RoundResult, promoted: Checkpoint | None) -> None:
        """Keep a round, with the weights that serve from now on if they are new."""
        folder = self._round(result.seed, result.labels)
        folder.mkdir(parents=True, exist_ok=True)
        if promoted:
            write_checkpoint(promoted, folder / WEIGHTS)
        write_whole(json.dumps(result.as_dict(), indent=2).encode() + b"\n", folder / RESULT)
        for state in (folder / TRAINING).glob(f"**/{STATE}"):
            state.unlink()
        rounds = set(folder.parent.glob("labels*"))
        replaced = rounds - {folder, self._first_round(result.seed)} if result.promoted else {folder}
        for fold in (fold for one in replaced for fold in (one / TRAINING).glob(f"{FOLD}*")):
            shutil.rmtree(fold)

    def take_over(self, result: RoundResult, other: Storage) -> None:
        """Keep a round of another folder as one of this one's."""
        for fold in other.training(result.seed, result.labels).glob(f"{FOLD}*"):
            shutil.copytree(fold, self.training(result.seed, result.labels) / fold.name, dirs_exist_ok=True)
        self.finish(result, other.weights(result) if result.promoted else None)

    def folds(self, result: RoundResult) -> tuple[LeftOut, ...]:
        """The folds of the training run that a round promoted, as long as no later one did."""
        return kept_folds(self.training(result.seed, result.labels))

    def weights(self, result: RoundResult) -> Checkpoint:
        """The weights that a round promoted."""
        return read_safetensors(self._round(result.seed, result.labels) / WEIGHTS)

    def training(self, seed: int, labels: int) -> Path:
        """The folder of a round's fine-tuning."""
        return self._round(seed, labels) / TRAINING

    @property
    def features(self) -> Path:
        """The folder that all fine-tunings keep the outputs of frozen stages in: they are the same in many rounds."""
        return self.folder / FEATURES

    def drop_features(self) -> None:
        """Free the disk of what only further rounds would need."""
        shutil.rmtree(self.features, ignore_errors=True)

    def _first_round(self, seed: int) -> Path:
        """Its folds stay: a simulation with another order may take the round over."""
        rounds = self._round(seed, 0).parent.glob("labels*")
        return min(rounds, key=lambda folder: int(folder.name.removeprefix("labels")))

    def _round(self, seed: int, labels: int) -> Path:
        return self.folder / f"seed{seed}" / f"labels{labels}"
