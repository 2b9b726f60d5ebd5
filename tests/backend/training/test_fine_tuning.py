"""What the settings say of a project's fine-tuning reaches it, and each hyper-parameter is named once."""

from __future__ import annotations

from pathlib import Path

import pytest

from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.finetuning.settings import HYPER_PARAMETERS
from prelabel.settings import Settings, SettingsError, load_settings
from prelabel.settings.training import HYPER_PARAMETER
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


def test_what_is_set_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_every_hyper_parameter_has_a_variable_with_its_range_and_meaning() -> None:
    fields = {
        str(extra[HYPER_PARAMETER]): field
        for field in Settings.model_fields.values()
        if isinstance(extra := field.json_schema_extra, dict) and HYPER_PARAMETER in extra
    }
    of_the_machine = {"device", "threads", "seed"}
    assert fields.keys() == HYPER_PARAMETERS.keys() - of_the_machine
    for name, field in fields.items():
        one = HYPER_PARAMETERS[name]
        bounds = {
            bound: getattr(rule, bound)
            for rule in field.metadata
            for bound in ("ge", "gt", "le")
            if hasattr(rule, bound)
        }
        assert (field.default, field.description) == (one.default, one.description)
        assert bounds == {b: v for b in ("ge", "gt", "le") if (v := getattr(one, b)) is not None}


def test_the_page_on_learning_names_every_choice_of_the_data() -> None:
    page = (Path(__file__).parents[3] / "docs" / "learning.md").read_text(encoding="utf-8")
    left_to_the_data = [
        name for name, one in HYPER_PARAMETERS.items() if one.default is None and name != "threads"
    ]
    options = {"anchor_sizes": "anchors"}
    assert len(left_to_the_data) >= 8
    assert [
        name for name in left_to_the_data if f"`--{options.get(name, name).replace('_', '-')}`" not in page
    ] == []
