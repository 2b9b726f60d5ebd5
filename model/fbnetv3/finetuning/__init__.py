"""Fine-tuning on few labelled images: the plan, the start weights, frozen stages with cached outputs, the loop."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fbnetv3.finetuning.settings import FineTuningSettings

if TYPE_CHECKING:
    from fbnetv3.finetuning.report import Report, train_and_judge
    from fbnetv3.finetuning.run import FineTuned, OnProgress, fine_tune, log_progress
    from fbnetv3.training.loop import Progress, TrainingError

__all__ = [
    "FineTuned",
    "FineTuningSettings",
    "OnProgress",
    "Progress",
    "Report",
    "TrainingError",
    "fine_tune",
    "log_progress",
    "train_and_judge",
]

HOMES = {
    "fbnetv3.finetuning.report": ("Report", "train_and_judge"),
    "fbnetv3.finetuning.run": ("FineTuned", "OnProgress", "fine_tune", "log_progress"),
    "fbnetv3.training.loop": ("Progress", "TrainingError"),
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: training needs PyTorch, which takes seconds; knowing its settings need not."""
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
