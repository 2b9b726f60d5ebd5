"""What the settings say of a project's trainings reaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fbnetv3.finetuning import FineTuningSettings
from prelabel.settings import SettingsError, load_settings
from prelabel.training.fine_tuning import fine_tuning_settings

CHOSEN = {
    "PRELABEL_FROZEN_STAGES": "0",
    "PRELABEL_TRAIN_EPOCHS": "7.5",
    "PRELABEL_LEARNING_RATE": "0.001",
    "PRELABEL_TRAIN_BATCH_SIZE": "2",
    "PRELABEL_TRAIN_MIN_SIZE": "192",
    "PRELABEL_TRAIN_MAX_SIZE": "288",
    "PRELABEL_FLIP": "false",
    "PRELABEL_NORM": "GN",
    "PRELABEL_FEATURE_CACHE_BYTES": "0",
    "PRELABEL_TRAINING_THREADS": "3",
    "PRELABEL_TRAINING_DEVICES": "2",
    "DEVICE": "cuda",
}
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_by_default_the_data_decides(tmp_path: Path) -> None:
    settings = load_settings(prelabel_home=tmp_path, prelabel_training_threads=3)
    cache = str(tmp_path / "projects" / "7" / "features")
    assert fine_tuning_settings(settings, 7) == FineTuningSettings(cache=cache, threads=3)


def test_what_is_set_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CHOSEN.items():
        monkeypatch.setenv(name, value)
    assert fine_tuning_settings(load_settings(prelabel_home=tmp_path), 7) == FineTuningSettings(
        frozen_stages=0,
        epochs=7.5,
        learning_rate=1e-3,
        batch_size=2,
        min_size=192,
        max_size=288,
        flip=False,
        norm="GN",
        cache_bytes=0,
        cache=str(tmp_path / "projects" / "7" / "features"),
        device="cuda",
        devices=2,
        threads=1,  # each of the two
    )


def test_the_sizes_must_be_in_order() -> None:
    with pytest.raises(SettingsError, match="PRELABEL_TRAIN_MIN_SIZE must not be larger than"):
        load_settings(prelabel_train_min_size=500, prelabel_train_max_size=400)
