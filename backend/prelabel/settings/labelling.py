"""Settings of labelling: how long its steps take people, and the order of the tasks."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, Field

StrategyName = Literal[
    "random",
    "least_confidence",
    "margin",
    "entropy",
    "expected_edits",
    "diversity",
    "representative",
    "representative_edits",
    "combined",
]
"""Those of fbnetv3.active_learning, which is not loaded for them."""

STRATEGIES: tuple[str, ...] = get_args(StrategyName)


class LabellingSettings(BaseModel):
    """What the work of annotators takes, and which task they get next."""

    prelabel_seconds_check: float = Field(
        2.0, ge=0, le=3600, description="Seconds that a person takes to see that a region is right."
    )
    prelabel_seconds_correct_box: float = Field(
        5.0, ge=0, le=3600, description="Seconds that a person takes to correct a box."
    )
    prelabel_seconds_correct_mask: float = Field(
        40.0, ge=0, le=3600, description="Seconds that a person takes to correct a mask or polygon."
    )
    prelabel_seconds_draw_box: float = Field(
        7.0, ge=0, le=3600, description="Seconds that a person takes to draw a box."
    )
    prelabel_seconds_draw_mask: float = Field(
        79.2, ge=0, le=3600, description="Seconds that a person takes to draw a mask or polygon."
    )
    prelabel_seconds_delete: float = Field(
        3.0, ge=0, le=3600, description="Seconds that a person takes to delete a region that is wrong."
    )
    prelabel_strategy: StrategyName | Literal["none"] = Field(
        "representative_edits",
        description="What puts the unlabelled tasks in order: random, least_confidence, margin, entropy, "
        "expected_edits, diversity, representative, representative_edits or combined. none: after a promotion they "
        "stay as they are.",
    )
    prelabel_random_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the places in that order that are drawn at random, so that figures of the labels stay "
        "honest.",
    )
