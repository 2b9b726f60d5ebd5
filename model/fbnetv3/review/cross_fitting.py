"""Cross-fitting: every image is judged by heads that were trained on the others.

The trunk is frozen as a whole, so that what it makes of each view of an image is computed once and serves all folds;
a fold then trains only the heads, for a short time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.data.examples import Example, Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuningSettings, OnProgress, fine_tune, log_progress
from fbnetv3.finetuning.plan import Outlines, make_plan
from fbnetv3.finetuning.start import Sources
from fbnetv3.review.predictions import OutOfFold, predict_held_out
from fbnetv3.training.loop import TrainingError
from fbnetv3.weights import Checkpoint

FOLDS = 3
"""Two thirds of the images are enough to learn from; every further fold costs another training run."""

STEPS_PER_IMAGE, FEWEST_STEPS, MOST_STEPS = 2, 60, 200
"""Heads on frozen features settle sooner than a whole network (docs/review.md has the seconds)."""

CACHE = "features"


@dataclass(frozen=True)
class _Part:
    """Some of the examples, in this order."""

    examples: Examples
    indices: Sequence[int]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.examples.labels

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.examples[self.indices[index]]


def out_of_fold(
    start: Checkpoint,
    examples: Examples,
    folder: Path,
    *,
    folds: int = FOLDS,
    settings: FineTuningSettings = FineTuningSettings(),  # noqa: B008 (frozen)
    sources: Sources | None = None,
    on_progress: OnProgress = log_progress,
    on_image: Callable[[], None] = lambda: None,
) -> list[OutOfFold]:
    """Each example's predictions, in order, by heads that were trained on the other folds.

    `start` must not have been trained on these examples either: its trunk stays as it is. `folder` gets a folder per
    fold and the features; the same call goes on there after an interruption, and gives the same result. What
    `settings` leave open is chosen for the data; `sources` as for `fine_tune`. Raises TrainingError with fewer
    examples than folds, and what `fine_tune` raises.
    """
    if not 2 <= folds <= len(examples):
        raise TrainingError(
            f"{len(examples)} images cannot be divided into {folds} folds to check each other"
        )
    settings = _for_heads(start, examples, settings, len(examples) - len(examples) // folds, folder / CACHE)
    found: dict[int, OutOfFold] = {}
    for number, held in enumerate(_folds(len(examples), folds, settings.seed)):
        rest = _Part(examples, sorted(set(range(len(examples))) - set(held)))
        tuned = fine_tune(
            start,
            rest,
            _Part(examples, ()),
            folder / f"fold{number}",
            settings,
            sources=sources,
            on_progress=on_progress,
        )
        detector = Detector.load(
            tuned.checkpoint, engine="torch", device=settings.device, threads=settings.threads
        )
        for index in held:
            found[index] = predict_held_out(detector, examples[index], examples.labels)
            on_image()
    return [found[index] for index in range(len(examples))]


def _folds(count: int, folds: int, seed: int) -> list[list[int]]:
    """A random division into parts of the same size, up to one."""
    order = np.random.default_rng(seed).permutation(count)
    return [sorted(order[number::folds].tolist()) for number in range(folds)]


def _for_heads(
    start: Checkpoint, examples: Examples, settings: FineTuningSettings, trained_on: int, cache: Path
) -> FineTuningSettings:
    """One plan for all folds, so that they share the features: of the frozen trunk, at one input size."""
    frozen = (
        len(ARCHITECTURES[start.model].trunk) if settings.frozen_stages is None else settings.frozen_stages
    )
    plan = make_plan(start, Outlines.of(examples), replace(settings, frozen_stages=frozen))
    steps = int(np.clip(STEPS_PER_IMAGE * trained_on, FEWEST_STEPS, MOST_STEPS))
    return replace(
        settings,
        frozen_stages=frozen,
        min_size=plan.min_size,
        max_size=plan.max_size,
        anchor_sizes=tuple(size for level in plan.anchor_sizes for size in level),
        epochs=settings.epochs or steps * plan.batch_size / trained_on,
        cache=settings.cache or str(cache),
    )
