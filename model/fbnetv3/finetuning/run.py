"""A fine-tuning from start weights and examples to a checkpoint, in one process or several."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.finetuning.feature_cache import FeatureCache
from fbnetv3.finetuning.first_scores import set_first_scores
from fbnetv3.finetuning.loop import Loop
from fbnetv3.finetuning.parts import FrozenPart
from fbnetv3.finetuning.plan import Outlines, Plan, make_plan
from fbnetv3.finetuning.processes import Process, processes
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.finetuning.start import Sources, sources_by_name, start_network
from fbnetv3.finetuning.viewed import ViewedExamples
from fbnetv3.finetuning.views import make_views
from fbnetv3.judging import judge
from fbnetv3.network.norms import freeze
from fbnetv3.network.rcnn import RCNN
from fbnetv3.training.loop import Progress, TrainingError
from fbnetv3.weights import Checkpoint

logger = logging.getLogger(__name__)

CACHE = "features"

#: Proposals per image: fewer than the zoo's 2,000, as only a few dozen regions are drawn from them.
PROPOSALS: dict[str, Any] = {"pre_nms_proposals_train": 1000, "post_nms_proposals_train": 200}

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tuning came to.

    `steps`: those that were taken; `train_seconds`: how long they took, all starts together, hold-out checks
    included.
    """

    checkpoint: Checkpoint
    plan: Plan
    train_seconds: float
    steps: int


def log_progress(progress: Progress) -> None:
    """A line in the log."""
    logger.info("%s", progress)


def fine_tune(
    start: Checkpoint,
    train: Examples,
    holdout: Examples,
    folder: Path,
    settings: FineTuningSettings = FineTuningSettings(),  # noqa: B008 (frozen)
    *,
    sources: Sources | None = None,
    on_progress: OnProgress = log_progress,
) -> FineTuned:
    """Train the network of `start` for the labels of `train`, which `holdout` shares.

    `folder` gets plan.json, metrics.jsonl, TensorBoard's event files and the state from which the same call goes on
    after an interruption. `sources`: label -> labels of `start` that it begins as; None: those of the same name.
    Under torchrun each process calls this with the same arguments and gets the same result. Raises TrainingError
    where there is no image or no object to train on, or training diverges; ConfigError for impossible settings.
    """
    if not len(train):
        raise TrainingError("there are no images to train on: label more, or hold out less")
    folder.mkdir(parents=True, exist_ok=True)
    if sources is None:
        sources = sources_by_name(train.labels, start.labels)
    job = _Job(start, train, holdout, folder, settings, sources)
    with processes(settings.device, settings.devices, job.run) as process:
        return job.run(process, on_progress)


@dataclass(frozen=True)
class _Job:
    """The same in all processes of a fine-tuning."""

    start: Checkpoint
    train: Examples
    holdout: Examples
    folder: Path
    settings: FineTuningSettings
    sources: Sources

    def run(self, process: Process, on_progress: OnProgress = log_progress) -> FineTuned:
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        outlines = Outlines.of(self.train)
        if not any(map(len, outlines.boxes)):
            raise TrainingError(
                f"there is no labelled object in the {len(self.train)} images to train on: label some, or hold out less"
            )
        plan = make_plan(self.start, outlines, self.settings, process.count, self.sources)
        if process.is_first:
            self._announce(plan)
        model = self._network(plan, outlines.has_masks).to(process.device)
        views = self._views(model, plan)
        if self.start.labels != tuple(self.train.labels):
            new = [i for i, label in enumerate(self.train.labels) if not self.sources.get(label)]
            set_first_scores(model, views, new)
        check = self._check if len(self.holdout) else None
        loop = Loop(model, views, plan, self.folder, process, check, on_progress)
        trained = loop.run()
        process.agree_on(trained)  # only the first one knows which check was best
        return FineTuned(self._checkpoint(trained, plan), plan, loop.standing.seconds, loop.standing.step)

    def _announce(self, plan: Plan) -> None:
        plan.write(self.folder)
        for line in plan.lines():
            logger.info("%s", line)

    def _network(self, plan: Plan, has_masks: bool) -> RCNN:
        torch.manual_seed(plan.seed)
        model = start_network(
            self.start,
            self.train.labels,
            self.sources,
            **{
                **PROPOSALS,
                **plan.network_settings,
                "norm": plan.norm,
                "frozen_stages": plan.frozen_stages,
                "roi_batch_per_image": plan.regions_per_image,
                "mask_batch_per_image": plan.masks_per_image,
            },
        )
        if model.roi_heads.mask_head is not None and not has_masks:
            freeze(model.roi_heads.mask_head)
        return model

    def _views(self, model: RCNN, plan: Plan) -> ViewedExamples:
        settings = self.settings
        folder = Path(settings.cache) if settings.cache else self.folder / CACHE
        cache = FeatureCache(folder, settings.cache_bytes) if settings.cache_bytes else None
        views = make_views(plan.views, plan.scales, plan.flip, plan.seed)
        frozen = FrozenPart(model, plan.frozen_stages)
        return ViewedExamples(self.train, views, frozen, cache, plan.min_size, plan.max_size)

    def _check(self, model: RCNN) -> dict[str, float]:
        """The averaged weights on the hold-out. By boxes only: masks would take more time than the fine-tuning."""
        device = str(next(model.parameters()).device)
        detector = Detector(TorchEngine(model, device), self.train.labels, "candidate")
        found = judge(detector, self.holdout, boxes_only=True)
        return {"score": found.box_AP, "box_AP50": found.box_AP50, "no_edit_share": found.no_edit_share}

    def _checkpoint(self, model: RCNN, plan: Plan) -> Checkpoint:
        """With the start weights' settings but for what the plan changed."""
        trained = replace(
            self.start,
            state={name: tensor.detach().cpu() for name, tensor in model.state_dict().items()},
            labels=tuple(self.train.labels),
            provenance={"source": "fine-tuned by prelabel", "start": self.start.digest},
        )
        return plan.on_trained(trained)
