"""Weights that learn from all labelled images, and what weights like them find in images that they have not seen.

Few images are divided into folds, of many one fold is taken. For each, a short training run learns from the others and
is shown the fold: so labelled images tell how good the weights are, and none is lost to learning. The mean of the
folds' weights (arXiv 2203.05482: fine-tuned from one start they lie in one basin) begins a last run, on all images.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch

from fbnetv3.data.examples import ChosenExamples, Examples
from fbnetv3.finetuning.plan import Outlines, Plan, make_plan
from fbnetv3.finetuning.run import FineTuned, OnProgress, fine_tune, log_progress
from fbnetv3.finetuning.served_size import served_as_planned, with_served_size
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.finetuning.start import Sources
from fbnetv3.folds import FOLD, FOLD_WEIGHTS, folds_of, in_turn
from fbnetv3.training.loop import Progress
from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint

logger = logging.getLogger(__name__)

FOLD_SHARE, LAST_SHARE, LAST_SHARE_AFTER_ONE = 0.5, 0.5, 1.0
"""Of the steps of a whole run on all images: of each fold's, and of the last one's, which a single fold leaves more to
do than the mean of several (docs/learning.md)."""

PLACES, SECONDS = "left_out", "train_seconds"
"""In the provenance of a fold's weights, as JSON."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What learnt without some images. `places`: theirs, among all images. `train_seconds`: that took."""

    checkpoint: Checkpoint
    places: tuple[int, ...]
    train_seconds: float

    def write(self, file: Path) -> None:
        """Keep it, whole or not at all. Raises OSError."""
        about = {PLACES: json.dumps(self.places), SECONDS: str(self.train_seconds)}
        checkpoint = self.checkpoint
        write_checkpoint(replace(checkpoint, provenance=checkpoint.provenance | about), file)

    @classmethod
    def read(cls, file: Path) -> LeftOut:
        """What `write` kept. Raises WeightsError."""
        checkpoint = load_checkpoint(file)
        about = checkpoint.provenance
        return cls(checkpoint, tuple(json.loads(about[PLACES])), float(about[SECONDS]))


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """`tuned`: learnt from all images. `folds`: that every image is left out of once, of many a part (`folds.py`); none
    for a single image.
    """

    tuned: FineTuned
    folds: tuple[LeftOut, ...]

    @property
    def train_seconds(self) -> float:
        """Of all training runs together, as if none had been interrupted."""
        return self.tuned.train_seconds + sum(fold.train_seconds for fold in self.folds)


def cross_fit(
    start: Checkpoint,
    images: Examples,
    folder: Path,
    settings: FineTuningSettings,
    *,
    sources: Sources,
    pictures: Sequence[Hashable] | None = None,
    on_progress: OnProgress = log_progress,
) -> CrossFitted:
    """Train on all of `images`, and on all but each fold, from `start`.

    `pictures`: what each of them shows, where one picture may be there twice.

    `folder` gets a folder for each training run; the same call goes on where it was interrupted. Raises what
    `fine_tune` raises.
    """
    plan = make_plan(start, Outlines.of(images), settings, sources=sources)
    shown = range(len(images)) if pictures is None else pictures
    left_out = _left_out(images, shown)
    if not left_out:
        return CrossFitted(
            fine_tune(
                start,
                images,
                ChosenExamples(images, ()),
                folder,
                settings,
                sources=sources,
                on_progress=on_progress,
            ),
            (),
        )
    runs = _Runs(
        start, images, folder, _as_planned(settings, plan), plan, sources, on_progress, len(left_out)
    )
    folds = [runs.fold(number, places) for number, places in enumerate(left_out)]
    plan = with_served_size(plan, [(fold.checkpoint, fold.places) for fold in folds], images, settings)
    served = tuple(replace(fold, checkpoint=plan.on_trained(fold.checkpoint)) for fold in folds)
    for number, fold in enumerate(served):
        fold.write(runs.fold_folder(number) / FOLD_WEIGHTS)
    tuned = runs.last([fold.checkpoint for fold in folds])
    return CrossFitted(served_as_planned(tuned, plan, folder), served)


def kept_folds(folder: Path) -> tuple[LeftOut, ...]:
    """The folds of a `cross_fit` in this folder that is over. Raises WeightsError."""
    return tuple(LeftOut.read(file) for file in sorted(folder.glob(f"{FOLD}*/{FOLD_WEIGHTS}")))


def _left_out(images: Examples, pictures: Sequence[Hashable]) -> list[tuple[int, ...]]:
    """The places of each fold; all images take turns where a single fold would hold no object, or all of them."""
    folds = folds_of(pictures)
    if len(folds) == 1 and not all(
        _has_object(images, part) for part in (folds[0], _others(images, folds[0]))
    ):
        folds = in_turn(pictures)
    return [places for places in folds if _has_object(images, _others(images, places))]


def _has_object(images: Examples, places: Sequence[int]) -> bool:
    return any(len(images[place].boxes) for place in places)


def _others(images: Examples, left_out: Sequence[int]) -> list[int]:
    return [place for place in range(len(images)) if place not in left_out]


def _as_planned(settings: FineTuningSettings, plan: Plan) -> FineTuningSettings:
    """What the plan for all images decided, so that each run has the same network."""
    return replace(
        settings,
        min_size=plan.min_size,
        max_size=plan.max_size,
        anchor_sizes=tuple(chain(*plan.anchor_sizes)),
        frozen_stages=plan.frozen_stages,
        norm=plan.norm,
        learning_rate=plan.learning_rate,
    )


@dataclass(frozen=True)
class _Runs:
    start: Checkpoint
    images: Examples
    folder: Path
    settings: FineTuningSettings
    plan: Plan
    sources: Sources
    on_progress: OnProgress
    count: int

    def fold(self, number: int, left_out: tuple[int, ...]) -> LeftOut:
        """One fold."""
        places = _others(self.images, left_out)
        logger.info("fold %d of %d: %d images to learn from", number + 1, self.count, len(places))
        tuned = self._run(self.start, places, self.fold_folder(number), self.sources, number)
        return LeftOut(tuned.checkpoint, left_out, tuned.train_seconds)

    def fold_folder(self, number: int) -> Path:
        """Of one fold."""
        return self.folder / f"{FOLD}{number + 1}"

    def last(self, folds: Sequence[Checkpoint]) -> FineTuned:
        """On all images, from the mean of the folds."""
        logger.info("last of %d training runs: all %d images", self.count + 1, len(self.images))
        labels = self.images.labels
        tuned = self._run(
            mean_of(folds),
            range(len(self.images)),
            self.folder,
            {label: [label] for label in labels},
            self.count,
        )
        provenance = tuned.checkpoint.provenance | {"start": self.start.digest}
        return replace(tuned, checkpoint=replace(tuned.checkpoint, provenance=provenance))

    @property
    def _lengths(self) -> list[int]:
        """The steps of each run."""
        last = LAST_SHARE if self.count > 1 else LAST_SHARE_AFTER_ONE
        return [max(1, round(share * self.plan.steps)) for share in [FOLD_SHARE] * self.count + [last]]

    def _run(
        self, start: Checkpoint, places: Sequence[int], folder: Path, sources: Sources, done: int
    ) -> FineTuned:
        steps, batch_size = self._lengths[done], min(self.plan.batch_size, len(places))
        return fine_tune(
            start,
            ChosenExamples(self.images, tuple(places)),
            ChosenExamples(self.images, ()),
            folder,
            replace(self.settings, epochs=steps * batch_size / len(places), batch_size=batch_size),
            sources=sources,
            on_progress=self._of_all(done),
        )

    def _of_all(self, done: int) -> Callable[[Progress], None]:
        """Progress of the whole, of which `done` runs are over."""
        lengths = self._lengths
        before, after = sum(lengths[:done]), sum(lengths[done + 1 :])

        def tell(progress: Progress) -> None:
            rest = after * self.plan.batch_size / max(progress.images_per_second, 1e-9)
            self.on_progress(
                replace(
                    progress,
                    step=before + progress.step,
                    steps=sum(lengths),
                    seconds_left=progress.seconds_left + rest,
                )
            )

        return tell


def mean_of(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The mean of the weights of networks that were fine-tuned from one start; counters as in the first."""
    states = [one.state for one in checkpoints]
    state = {
        name: torch.stack([one[name] for one in states]).mean(0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }
    return replace(checkpoints[0], state=state)
