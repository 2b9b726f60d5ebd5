"""The plan of a fine-tuning: every choice that the data decides, with the reason for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fbnetv3.arrays import Array
from fbnetv3.config import ConfigError, ModelConfig, Norm
from fbnetv3.data.examples import Examples
from fbnetv3.files import write_whole
from fbnetv3.finetuning.settings import FineTuningSettings
from fbnetv3.finetuning.start import Sources
from fbnetv3.images import network_size
from fbnetv3.weights import Checkpoint

Value = TypeVar("Value")

PLAN = "plan.json"

FROZEN_STAGES = 2
"""docs/learning.md has what other numbers give."""

SMALL_OBJECT, SMALL_QUANTILE = 32.0, 0.25
"""Side in network pixels, two cells of the feature map, below which only a quarter of the objects may be."""

LARGEST_MIN_SIZE = 480
"""A step takes 1.5 times as long as at the default 320, and 1.5 times as long again at 640."""

STEP_OF_SIZES = 32
"""Input sizes are multiples of this: whole cells of the feature map."""

BATCH_SIZE = 4
STEPS_PER_IMAGE, FEWEST_STEPS, MOST_STEPS = 3, 80, 2000
"""40 images, which is 50 with the hold-out, take 120 steps, a minute and a half on two cores."""

LEARNING_RATE = 5e-4
"""Half of what the starter was trained with from scratch: at 1e-3 two sets of photos did no better, at 2e-3 worse."""

WARMUP_SHARE = 0.1
REGIONS_PER_IMAGE, MASKS_PER_IMAGE = 32, 6
"""The zoo's 512 regions and their masks would take ten times as long as all the rest."""

VIEWS, SCALES = 6, (1.0, 0.8, 1.25)
"""Two of each size, one of them mirrored. More views mean fewer epochs that find their features in the cache."""

CHECKS, PATIENCE = 4, 2
"""Looks at the hold-out. The learning rate ends at 0, so the last weights are the best unless the data is unusual."""

REACH = 0.3**0.5
"""At this ratio of sizes a box and an anchor around the same point have an IoU of 0.3, the least for a match."""

FEW_WITHIN_REACH = 0.25
"""Sets of small objects did no better with anchors of their own than with an RPN that knows its anchors."""

SMALLEST_ANCHOR = 8.0
"""Half a cell of the feature map."""

CROWDED, PROPOSALS_PER_OBJECT, MOST_PROPOSALS = 0.9, 10, 300
"""So many proposals for each object of an image that is more crowded than nine in ten, up to a bound."""

ANCHORS_PER_PROPOSAL = 10
"""As by default: 1,000 that enter NMS for 100 proposals."""

TRAINED_AT = "trained_at"
"""In the provenance of weights that were fine-tuned, as JSON: the input size of their training."""


@dataclass(frozen=True)
class Outlines:
    """What the plan asks of a data set: image sizes (height, width), boxes (n, 4) in pixels, whether it has masks."""

    sizes: tuple[tuple[int, int], ...]
    boxes: tuple[Array, ...]
    has_masks: bool
    digest: str

    @classmethod
    def of(cls, examples: Examples) -> Outlines:
        """Every example is decoded once."""
        sha256 = hashlib.sha256("\0".join(examples.labels).encode())
        sizes, boxes, has_masks = [], [], False
        for index in range(len(examples)):
            example = examples[index]
            sizes.append((example.image.shape[0], example.image.shape[1]))
            boxes.append(example.boxes)
            has_masks |= example.masks is not None and any(mask.area for mask in example.masks)
            for array in (example.image[::16, ::16], example.boxes, example.classes):
                sha256.update(array.tobytes())
        return cls(tuple(sizes), tuple(boxes), has_masks, sha256.hexdigest())

    def object_sizes(self, min_size: int, max_size: int) -> Array:
        """Root of the area of every box in network pixels, ascending."""
        found = [np.zeros(0)]
        for (height, width), boxes in zip(self.sizes, self.boxes, strict=True):
            scale = network_size(height, width, min_size, max_size)[0] / height
            extent = boxes[:, 2:] - boxes[:, :2]
            found.append(np.sqrt(extent.prod(1)) * scale)
        return np.sort(np.concatenate(found))


@dataclass(frozen=True)
class Plan:
    """A fine-tuning's settings. `reasons`: why those that the data decided are what they are, by field.

    `steps` batches of `batch_size` views; `views` of each image are there to choose from. `check_every`: steps
    between looks at the hold-out; training ends after `patience` of them without gain. `served`: settings of the
    network once it is trained, see `served_size.py`. `fingerprint`: of all this and of what is trained on what.
    """

    frozen_stages: int
    norm: Norm
    min_size: int
    max_size: int
    anchor_sizes: tuple[tuple[float, ...], ...]
    batch_size: int
    epochs: float
    steps: int
    learning_rate: float
    warmup_steps: int
    views: int
    scales: tuple[float, ...]
    flip: bool
    regions_per_image: int
    masks_per_image: int
    check_every: int
    patience: int
    seed: int
    weight_decay: float = 1e-2
    clip_norm: float = 10.0
    ema_decay: float = 0.99
    served: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    reasons: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """Keep it beside what it trains. Raises OSError."""
        write_whole(f"{json.dumps(self.as_dict(), indent=2)}\n".encode(), folder / PLAN)

    def lines(self) -> list[str]:
        """The choices and their reasons, for people."""
        return [f"{name} = {getattr(self, name)}: {reason}" for name, reason in self.reasons.items()]

    @property
    def network_settings(self) -> dict[str, Any]:
        """What the network's configuration takes over for training.

        Of the norms only GN: all others are batch norm once training is over.
        """
        sizes = {"min_size": self.min_size, "max_size": self.max_size, "anchor_sizes": self.anchor_sizes}
        return sizes | ({"norm": "GN"} if self.norm == "GN" else {})

    def on_trained(self, weights: Checkpoint) -> Checkpoint:
        """Weights that were trained by this plan, with the settings that they are served with."""
        provenance = weights.provenance | {TRAINED_AT: json.dumps([self.min_size, self.max_size])}
        settings = weights.settings | self.network_settings | self.served
        return replace(weights, settings=settings, provenance=provenance)


def make_plan(
    start: Checkpoint,
    outlines: Outlines,
    settings: FineTuningSettings,
    processes: int = 1,
    sources: Sources | None = None,
) -> Plan:
    """Choose for the data; what the settings say is taken as it is.

    `processes`: that share each batch. `sources`: what each label begins as, which is part of what is trained.
    Raises ConfigError for a setting that cannot be.
    """
    return _Planner(start, outlines, settings, processes, sources or {}).plan()


class _Planner:
    """The choices, each of which notes its reason."""

    def __init__(
        self,
        start: Checkpoint,
        outlines: Outlines,
        settings: FineTuningSettings,
        processes: int,
        sources: Sources,
    ) -> None:
        self._start, self._outlines, self._settings, self._processes = start, outlines, settings, processes
        self._sources = sources
        self._own = ModelConfig.for_model(start.model, **start.settings)
        self._reasons: dict[str, str] = {}

    def plan(self) -> Plan:
        self._settings.check()
        settings, images = self._settings, len(self._outlines.sizes)
        min_size, max_size = self._input_size()
        frozen = self._choose(
            "frozen_stages",
            FROZEN_STAGES,
            "faster, and as good or better for objects like those in photos (docs/learning.md)",
        )
        batch_size = self._batch_size(images)
        steps = int(np.clip(STEPS_PER_IMAGE * images, FEWEST_STEPS, MOST_STEPS))
        steps_per_epoch = images / batch_size
        epochs = self._choose(
            "epochs", round(steps / steps_per_epoch, 1), f"{steps} steps for {images} images"
        )
        steps = max(1, round(epochs * steps_per_epoch))
        plan = Plan(
            frozen_stages=frozen,
            norm=self._norm(),
            min_size=min_size,
            max_size=max_size,
            anchor_sizes=self._anchors(min_size, max_size),
            batch_size=batch_size,
            epochs=epochs,
            steps=steps,
            learning_rate=self._choose("learning_rate", LEARNING_RATE, "measured on small sets"),
            warmup_steps=max(1, round(WARMUP_SHARE * steps)),
            views=VIEWS,
            scales=SCALES,
            flip=settings.flip,
            regions_per_image=REGIONS_PER_IMAGE,
            masks_per_image=MASKS_PER_IMAGE,
            check_every=max(1, -(-steps // CHECKS)),
            patience=PATIENCE,
            seed=settings.seed,
            served=self._served(min_size, max_size),
            reasons=self._reasons,
        )
        self._check_network(plan)
        return replace(plan, fingerprint=self._fingerprint(plan))

    def _norm(self) -> Norm:
        """Group norm has no statistics to freeze, and weights trained with it work with nothing else."""
        if self._start.settings.get("norm") == "GN":
            return self._choose("norm", "GN", "as the start weights have it")
        return self._choose("norm", "FrozenBN", "a view is too small for statistics of its own")

    def _check_network(self, plan: Plan) -> None:
        ModelConfig.for_model(
            self._start.model,
            **{**plan.network_settings, "frozen_stages": plan.frozen_stages, "norm": plan.norm},
        )

    def _batch_size(self, images: int) -> int:
        """A multiple of the number of processes, so that each has the same share."""
        shares = -(-min(BATCH_SIZE, images) // self._processes)
        batch_size = self._choose("batch_size", shares * self._processes, "many small steps suit few images")
        if batch_size % self._processes:
            raise ConfigError(f"batch_size must be a multiple of {self._processes}, the number of processes")
        return batch_size

    def _choose(self, name: str, value: Value, reason: str) -> Value:
        given: Value | None = getattr(self._settings, name)
        self._reasons[name] = reason if given is None else "as given"
        return value if given is None else given

    def _input_size(self) -> tuple[int, int]:
        """Larger than the start weights' own where small objects ask for it, up to a bound; never smaller."""
        own_min, own_max = self._trained_at
        min_size, max_size, reason = own_min, own_max, "as the start weights have it"
        sizes = self._outlines.object_sizes(min_size, max_size)
        if len(sizes):
            small = float(np.quantile(sizes, SMALL_QUANTILE))
            factor = min(SMALL_OBJECT / max(small, 1.0), LARGEST_MIN_SIZE / min_size)
            if factor > 1:
                min_size, max_size = _rounded(min_size * factor), _rounded(max_size * factor)
            reason = f"a quarter of the objects is smaller than {small:.0f} pixels at {own_min}/{own_max}"
        return self._choose("min_size", min_size, reason), self._choose("max_size", max_size, reason)

    @property
    def _trained_at(self) -> tuple[int, int]:
        """The start weights' input size; of their training, where they are served at another one."""
        trained_at = self._start.provenance.get(TRAINED_AT)
        if trained_at is None:
            return self._own.min_size, self._own.max_size
        min_size, max_size = json.loads(trained_at)
        return int(min_size), int(max_size)

    def _anchors(self, min_size: int, max_size: int) -> tuple[tuple[float, ...], ...]:
        """The start weights' own, which their RPN was trained for, unless hardly any object overlaps one enough."""
        own = self._own.anchor_sizes
        if self._settings.anchor_sizes is not None:
            return self._given_anchors(self._settings.anchor_sizes, own)
        sizes = self._outlines.object_sizes(min_size, max_size)
        self._reasons["anchor_sizes"] = "as the start weights have them"
        if len(own) > 1 or not len(sizes):
            return own
        within = np.mean((sizes > own[0][0] * REACH) & (sizes < own[0][-1] / REACH))
        if within >= FEW_WITHIN_REACH:
            return own
        first, last = np.maximum(np.quantile(sizes, [0.1, 0.9]), [SMALLEST_ANCHOR, 2 * SMALLEST_ANCHOR])
        self._reasons["anchor_sizes"] = f"only {within:.0%} of the objects would overlap an anchor by 0.3"
        return (tuple(float(round(size)) for size in np.geomspace(first, last, len(own[0]))),)

    def _served(self, min_size: int, max_size: int) -> dict[str, int]:
        """As trained, with more proposals than the start weights look at where images are crowded."""
        counts = [len(boxes) for boxes in self._outlines.boxes]
        crowded = int(np.quantile(counts, CROWDED, method="higher"))
        wanted = min(PROPOSALS_PER_OBJECT * crowded, MOST_PROPOSALS)
        before, after = self._own.pre_nms_proposals_test, self._own.post_nms_proposals_test
        if wanted > after:
            before, after = max(before, ANCHORS_PER_PROPOSAL * wanted), wanted
            self._reasons["served"] = f"images have up to {crowded} objects"
        return {
            "min_size": min_size,
            "max_size": max_size,
            "pre_nms_proposals_test": before,
            "post_nms_proposals_test": after,
        }

    def _given_anchors(
        self, given: tuple[float, ...], own: tuple[tuple[float, ...], ...]
    ) -> tuple[tuple[float, ...], ...]:
        """On the start weights' levels; their RPN has so many outputs and no others."""
        sizes = (given,) if len(own) == 1 else tuple((size,) for size in given)
        if [len(level) for level in sizes] != [len(level) for level in own]:
            count = sum(len(level) for level in own)
            raise ConfigError(
                f"anchor_sizes must be {count} sizes, as the start weights have, not {len(given)}"
            )
        self._reasons["anchor_sizes"] = "as given"
        return sizes

    def _fingerprint(self, plan: Plan) -> str:
        content = {
            **plan.as_dict(),
            "reasons": None,
            "start": self._start.digest,
            "data": self._outlines.digest,
            "sources": {label: list(names) for label, names in self._sources.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _rounded(size: float) -> int:
    return int(round(size / STEP_OF_SIZES) * STEP_OF_SIZES)
