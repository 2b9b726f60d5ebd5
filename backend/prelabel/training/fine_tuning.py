"""What the settings say of a project's fine-tuning."""

from __future__ import annotations

from fbnetv3.finetuning import FineTuningSettings
from prelabel.folders import project_folder
from prelabel.settings import Settings

FEATURES = "features"
"""The folder, shared by the runs of a project, with what the frozen stages made of its images."""


def fine_tuning_settings(settings: Settings, project_id: int) -> FineTuningSettings:
    """What the settings decide of a project's fine-tuning; the data decides the rest."""
    return FineTuningSettings(
        **settings.hyper_parameters,
        cache=str(project_folder(settings, project_id) / FEATURES),
        device=settings.device,
        threads=max(settings.training_threads // settings.prelabel_training_devices, 1),
    )
