"""What the settings say of a project's fine-tuning."""

from __future__ import annotations

from fbnetv3.finetuning import FineTuningSettings
from prelabel.folders import project_folder
from prelabel.settings import Settings

FEATURES = "features"
"""The folder, shared by the runs of a project, with what the frozen stages made of its images."""


def fine_tuning_settings(settings: Settings, project_id: int) -> FineTuningSettings:
    """What the settings decide of a project's fine-tuning; the data decides the rest."""
    devices = settings.prelabel_training_devices
    return FineTuningSettings(
        frozen_stages=settings.prelabel_frozen_stages,
        epochs=settings.prelabel_train_epochs,
        learning_rate=settings.prelabel_learning_rate,
        batch_size=settings.prelabel_train_batch_size,
        min_size=settings.prelabel_train_min_size,
        max_size=settings.prelabel_train_max_size,
        anchor_sizes=settings.prelabel_anchor_sizes,
        flip=settings.prelabel_flip,
        norm=settings.prelabel_norm,
        cache_bytes=settings.prelabel_feature_cache_bytes,
        cache=str(project_folder(settings, project_id) / FEATURES),
        device=settings.device,
        devices=devices,
        threads=max(settings.training_threads // devices, 1),
    )
