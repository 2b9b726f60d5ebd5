"""The training loop: AdamW, warm-up and cosine decay, clipping, an average of the weights, a stop on bad losses."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from fbnetv3.data.examples import Examples
from fbnetv3.errors import FbnetError
from fbnetv3.network.targets import Target
from fbnetv3.training.augmentation import augment

logger = logging.getLogger(__name__)

Batch = tuple[list[Tensor], list[Target]]
Model = TypeVar("Model", bound=nn.Module)
Tensors = tuple[Tensor, ...] | list[Tensor]


class TrainingError(FbnetError):
    """Training cannot go on; the message says why and what to change."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: `steps` batches of `batch_size` images.

    The learning rate rises linearly over `warmup_steps` and falls to 0 along a cosine. Norms and biases have no
    weight decay. `min_sizes`: shorter sides in pixels, one is drawn per image. `flip`: probability of mirroring.
    `ema_decay`: share of the old average that a step keeps, less at the start.
    """

    steps: int
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    clip_norm: float = 10.0
    ema_decay: float = 0.998
    min_sizes: tuple[int, ...] = (224,)
    max_size: int = 320
    flip: float = 0.5
    seed: int = 0
    workers: int = 1


class Recipe(Protocol):
    """What a training loop must know of its configuration; see TrainingConfig."""

    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warmup_steps(self) -> int: ...
    @property
    def clip_norm(self) -> float: ...
    @property
    def ema_decay(self) -> float: ...


@dataclass(frozen=True)
class Progress:
    """Where a training run stands: means since the last report; seconds left at the present speed."""

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    images_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        parts = " ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        return (
            f"step {self.step}/{self.steps} {parts} lr {self.learning_rate:.2e} "
            f"{self.images_per_second:.1f} images/s, {self.seconds_left / 60:.0f} min left"
        )


def train(
    model: Model,
    examples: Examples,
    config: TrainingConfig,
    on_progress: Callable[[Progress], None] = lambda progress: logger.info("%s", progress),
    every: int = 20,
) -> Model:
    """Train the model in place; returns the averaged model, in evaluation mode.

    `model(images, targets)` gives the parts of the loss. Every epoch draws each example once, in a seeded order.
    `on_progress` hears every `every` steps. Raises TrainingError on a loss that is not finite.
    """
    torch.manual_seed(config.seed)
    optimisation = Optimisation(model, config)
    meter = Meter(config)
    for step, (images, targets) in enumerate(batches(examples, config), start=1):
        meter.add(optimisation.update(model(images, targets)))
        if step % every == 0 or step == config.steps:
            on_progress(meter.report(step, optimisation.learning_rate))
    return optimisation.averaged.eval()


class Optimisation(Generic[Model]):
    """AdamW on a model, which is put into training mode, with schedule, clipping, and the average of the weights."""

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self._model, self._clip_norm = model.train().to(memory_format=torch.channels_last), recipe.clip_norm
        groups = parameter_groups(model, recipe.weight_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=0.0)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: rate(step, recipe.warmup_steps, recipe.steps)
        )
        self._average = AveragedModel(model, multi_avg_fn=moving_average(recipe.ema_decay), use_buffers=True)

    @property
    def averaged(self) -> Model:
        """The model with the averaged weights."""
        return cast(Model, self._average.module)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def update(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """One step down the sum of the losses, whose values it returns. Raises TrainingError as `total` does."""
        self._optimizer.zero_grad()
        total(losses).backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm)
        self._optimizer.step()
        self._schedule.step()
        self._average.update_parameters(self._model)
        return {name: value.item() for name, value in losses.items()}

    def state_dict(self) -> dict[str, Any]:
        """The training state: all that a run goes on from, the model's values too."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "average": self._average,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
        }


class Meter:
    """Means of the losses since the last report, and the speed since `first_step`, where this process began."""

    def __init__(self, recipe: Recipe, first_step: int = 0) -> None:
        self._recipe, self._first_step = recipe, first_step
        self._started = time.monotonic()
        self._sums: dict[str, float] = {}
        self._counted = 0

    def add(self, losses: dict[str, float]) -> None:
        """Take in one step."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._counted += 1

    def report(self, step: int, learning_rate: float) -> Progress:
        """Where the run stands after this step; the means begin again."""
        speed = (step - self._first_step) / (time.monotonic() - self._started)
        means = {name: value / self._counted for name, value in self._sums.items()}
        self._sums, self._counted = {}, 0
        steps, images_per_second = self._recipe.steps, speed * self._recipe.batch_size
        return Progress(step, steps, means, learning_rate, images_per_second, (steps - step) / speed)


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of the loss parts. Raises TrainingError where one is not finite."""
    for name, value in losses.items():
        if not torch.isfinite(value):
            raise TrainingError(f"{name} is {value.item()}: training diverged; lower the learning rate")
    return torch.stack(list(losses.values())).sum()


def rate(step: int, warmup_steps: int, steps: int) -> float:
    """The learning rate of this step over the highest one."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """How AveragedModel takes in step n: it keeps min(decay, (1 + n) / (10 + n)) of the average.

    The warm-up (as in TensorFlow's ExponentialMovingAverage) lets a short training run forget its initialisation.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, step: Tensor | int) -> None:
        keep = min(decay, (1 + int(step)) / (10 + int(step)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)

    return update


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights that decay (matrices and kernels), and those that do not (norms, biases)."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def batches(examples: Examples, config: TrainingConfig) -> Iterator[Batch]:
    """`config.steps` batches, each epoch in a new seeded order, prepared ahead by worker processes."""
    loader = DataLoader(
        _Draws(examples, config),
        batch_size=config.batch_size,
        num_workers=config.workers,
        collate_fn=_collate,
        multiprocessing_context="spawn" if config.workers else None,
    )
    return iter(loader)


class _Draws(Dataset[tuple[Tensor, Target]]):
    """The training images one after the other: item i is always the same example, seen the same way."""

    def __init__(self, examples: Examples, config: TrainingConfig) -> None:
        self.examples, self.config = examples, config

    def __len__(self) -> int:
        return self.config.steps * self.config.batch_size

    def __getitem__(self, draw: int) -> tuple[Tensor, Target]:
        config = self.config
        epoch, place = divmod(draw, len(self.examples))
        order = np.random.default_rng((config.seed, epoch)).permutation(len(self.examples))
        rng = np.random.default_rng((config.seed, 1, draw))
        return augment(self.examples[int(order[place])], config.min_sizes, config.max_size, config.flip, rng)


def _collate(pairs: list[tuple[Tensor, Target]]) -> Batch:
    return [image for image, _ in pairs], [target for _, target in pairs]
