"""A trained network at rest: its tensors, and what one must know to use them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fbnetv3.errors import FbnetError

if TYPE_CHECKING:
    from torch import Tensor

MASK_HEAD = "roi_heads.mask_head."
CLASS_SCORES = "roi_heads.box_predictor.cls_score.weight"
BOX_OFFSETS = "roi_heads.box_predictor.bbox_pred.weight"
MASK_LOGITS = f"{MASK_HEAD}predictor.mask_fcn_logits.weight"
# How batch norms' number of training steps is called.
COUNTER = ".num_batches_tracked"
RUNNING_STATISTICS = (".running_mean", ".running_var")


class WeightsError(FbnetError):
    """Weights cannot be found, read or used; the message is one sentence for the user."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights with their labels, configuration and origin.

    `state`: tensors by d2go's parameter names, floating point ones float32 on the CPU. `model`: the name of
    the configuration, such as `mask_rcnn_fbnetv3a_dsmask_C4`. `labels`: the class names in the order of the
    network's outputs. `settings`: keywords for `create_model` that differ from its defaults. `provenance`:
    where the weights come from, in words.
    """

    state: dict[str, Tensor]
    model: str
    labels: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over the floating point tensors and the labels."""
        sha256 = hashlib.sha256()
        for name in sorted(self.state):
            tensor = self.state[name]
            if tensor.is_floating_point():
                sha256.update(name.encode() + b"\0")
                sha256.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        sha256.update("\0".join(self.labels).encode())
        return sha256.hexdigest()[:12]

    @property
    def has_masks(self) -> bool:
        """Whether a mask head is among the tensors."""
        return any(name.startswith(MASK_HEAD) for name in self.state)

    @property
    def parameter_count(self) -> int:
        """The number of trained values; running statistics and counters are not among them."""
        return sum(
            tensor.numel()
            for name, tensor in self.state.items()
            if tensor.is_floating_point() and not name.endswith(RUNNING_STATISTICS)
        )

    def with_labels(self, labels: Sequence[str]) -> Checkpoint:
        """The same weights under other class names.

        Raises WeightsError unless there is one distinct, non-empty name for each class of the network.
        """
        expected = len(self.labels)
        if len(labels) != expected:
            raise WeightsError(f"the network has {expected} classes, but {len(labels)} labels were given")
        if len({label for label in labels if label.strip()}) != expected:
            raise WeightsError("the labels must be distinct and not empty")
        return replace(self, labels=tuple(labels))

    def without_masks(self) -> Checkpoint:
        """The Faster R-CNN inside a Mask R-CNN: the same tensors without the mask head."""
        state = {name: tensor for name, tensor in self.state.items() if not name.startswith(MASK_HEAD)}
        return replace(self, state=state, model=self.model.replace("mask_rcnn", "faster_rcnn", 1))

    def with_mask_head(self, head: Checkpoint) -> Checkpoint:
        """This Faster R-CNN together with the mask head among the tensors of `head`.

        Raises WeightsError when the head was trained for another network or other labels.
        """
        if not head.has_masks or head.without_masks().model != self.without_masks().model:
            raise WeightsError(f"the mask head of {head.model} does not fit {self.model}")
        if head.labels != self.labels:
            raise WeightsError(f"the mask head of {head.model} was trained for other labels")
        masks = {name: tensor for name, tensor in head.state.items() if name.startswith(MASK_HEAD)}
        provenance = self.provenance | {f"mask head {key}": text for key, text in head.provenance.items()}
        state = self.without_masks().state | masks
        return replace(self, state=state, model=head.model, provenance=provenance)
