"""The hyper-parameters of the networks: one validated class, every field with its meaning, range and source.

Names are those of the field; defaults are those of d2go's `*_dsmask_C4.yaml` and detectron2's
`config/defaults.py`, except where the description says that another value was measured to be better.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.errors import FbnetError

Norm = Literal["BN", "SyncBN", "NaiveSyncBN", "GN", "FrozenBN"]
#: Which masks get edges that follow the image: none, those of prompts, all.
RefinedEdges = Literal["none", "prompts", "all"]


class ConfigError(FbnetError):
    """A setting is unknown or out of range; the message names it and says what would be right."""


class ModelConfig(BaseModel):
    """Everything about a network that is not a weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_classes: int = Field(80, ge=1, description="Object classes; background is one more, the last.")
    initial_weights: str | None = Field(
        None, description="Zoo name or file that the network starts from; None: random initialisation."
    )
    norm: Norm = Field(
        "NaiveSyncBN",
        description="Normalisation layers. BN: this process's batch. SyncBN: all processes, GPUs only. "
        "NaiveSyncBN: all processes with equal weight, any device; BN when there is one process. "
        "GN: groups of channels, independent of the batch. FrozenBN: fixed statistics and scale.",
    )
    frozen_stages: int = Field(
        0, ge=0, le=5, description="First trunk stages that training leaves as they are, norms included."
    )

    min_size: int = Field(
        320,
        ge=32,
        le=4096,
        description="Shorter side of the network's input in pixels. The zoo's 224 gives 1.3 points less "
        "box AP on COCO than 320.",
    )
    max_size: int = Field(
        480, ge=32, le=8192, description="Bound on the longer side of the input; the zoo: 320."
    )

    anchor_sizes: tuple[tuple[float, ...], ...] = Field(
        ((32, 64, 96, 128, 160),),
        description="Anchor sizes in input pixels (square root of the area), one tuple per feature level.",
    )
    anchor_ratios: tuple[float, ...] = Field((0.5, 1.0, 2.0), description="Anchor heights over widths.")

    rpn_iou_lower: float = Field(
        0.3, ge=0, le=1, description="Anchors below this IoU with every object are background."
    )
    rpn_iou_upper: float = Field(
        0.7, ge=0, le=1, description="Anchors from this IoU on are foreground; between the two, ignored."
    )
    rpn_batch_per_image: int = Field(256, ge=1, description="Anchors per image in the RPN's loss.")
    rpn_positive_fraction: float = Field(0.5, gt=0, le=1, description="Bound on the foreground among them.")
    rpn_nms_threshold: float = Field(
        0.7, ge=0, le=1, description="IoU from which on one of two proposals goes."
    )
    pre_nms_proposals_train: int = Field(
        2000, ge=1, description="Best anchors per level that enter NMS, training."
    )
    pre_nms_proposals_test: int = Field(
        1000, ge=1, description="Best anchors per level that enter NMS, inference."
    )
    post_nms_proposals_train: int = Field(2000, ge=1, description="Proposals per image, training.")
    post_nms_proposals_test: int = Field(
        100, ge=1, description="Proposals per image, inference. The zoo's C4 networks: 30, with less AP."
    )

    box_pooler_resolution: int = Field(6, ge=2, le=28, description="Side of a region's features, box head.")
    mask_pooler_resolution: int = Field(
        14,
        ge=4,
        le=56,
        multiple_of=2,
        description="Side of a region's features, mask head; the mask has twice as much.",
    )
    roi_iou_lower: float = Field(
        0.5, ge=0, le=1, description="Proposals below this IoU with every object are background."
    )
    roi_iou_upper: float = Field(
        0.5, ge=0, le=1, description="Proposals from this IoU on are foreground; between the two, ignored."
    )
    roi_batch_per_image: int = Field(512, ge=1, description="Proposals per image in the heads' losses.")
    roi_positive_fraction: float = Field(0.25, gt=0, le=1, description="Bound on the foreground among them.")

    mask_batch_per_image: int | None = Field(
        None,
        ge=1,
        description="Bound on the foreground in the mask head's loss; None, as the original: all of it.",
    )

    score_threshold: float = Field(0.05, ge=0, le=1, description="Detections must score more than this.")
    nms_threshold: float = Field(
        0.5, ge=0, le=1, description="IoU from which on one of two detections of a class goes."
    )
    detections_per_image: int = Field(100, ge=1, description="Best detections that are kept.")
    mask_threshold: float = Field(
        0.5, gt=0, lt=1, description="Mask probability from which on a pixel is set."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for lower, upper in (
            ("rpn_iou_lower", "rpn_iou_upper"),
            ("roi_iou_lower", "roi_iou_upper"),
            ("min_size", "max_size"),
        ):
            if getattr(self, lower) > getattr(self, upper):
                raise ValueError(
                    f"{lower} ({getattr(self, lower)}) must not exceed {upper} ({getattr(self, upper)})"
                )
        if not self.anchor_ratios or not self.anchor_sizes or not all(self.anchor_sizes):
            raise ValueError("anchor_sizes and anchor_ratios must not be empty")
        if min(self.anchor_ratios) <= 0 or any(size <= 0 for level in self.anchor_sizes for size in level):
            raise ValueError("anchor_sizes and anchor_ratios must be greater than 0")
        return self

    @classmethod
    def for_model(cls, name: str, /, **settings: Any) -> ModelConfig:
        """The configuration of the zoo's model `name`, with these settings changed.

        Raises ConfigError for an unknown model, an unknown setting or a value out of its range.
        """
        if name not in ARCHITECTURES:
            raise ConfigError(f"there is no model {name!r}; choose one of {', '.join(sorted(ARCHITECTURES))}")
        try:
            config = cls(**{**_zoo_settings(name), **settings})
        except ValidationError as error:
            raise ConfigError(_sentence(error)) from None
        stages = len(ARCHITECTURES[name].trunk)
        if config.frozen_stages > stages:
            raise ConfigError(f"frozen_stages must be at most {stages}, the trunk stages of {name}")
        return config


def _zoo_settings(name: str) -> dict[str, Any]:
    """Where d2go's `fbnetv3g_fpn.yaml` differs from the C4 configs."""
    if ARCHITECTURES[name].pyramid_channels is None:
        return {}
    return {
        "min_size": 800,
        "max_size": 1333,
        "anchor_sizes": ((32,), (64,), (128,), (256,), (512,)),
        "post_nms_proposals_test": 1000,
    }


def _sentence(error: ValidationError) -> str:
    """pydantic's findings as one sentence that names every setting."""
    findings = []
    for finding in error.errors():
        name = ".".join(str(part) for part in finding["loc"])
        if finding["type"] == "extra_forbidden":
            findings.append(f"there is no setting {name!r}")
        elif name:
            findings.append(
                f"{name}: {finding['msg'][0].lower()}{finding['msg'][1:]}, not {finding['input']!r}"
            )
        else:
            findings.append(finding["msg"].removeprefix("Value error, "))
    return "; ".join(findings)
