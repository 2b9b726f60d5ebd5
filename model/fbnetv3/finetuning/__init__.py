"""Fine-tuning on few labelled images: the plan, the start weights, frozen stages with cached outputs, the loop."""

from fbnetv3.finetuning.report import Report, train_and_judge
from fbnetv3.finetuning.run import FineTuned, OnProgress, fine_tune, log_progress
from fbnetv3.finetuning.settings import FineTuningSettings
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
