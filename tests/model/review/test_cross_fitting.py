"""Cross-fitting on drawn scenes with a small network: who judges what, and what is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_networks import as_checkpoint, small_network

from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.finetuning import FineTuningSettings, TrainingError, fine_tune, plan
from fbnetv3.review import OutOfFold, cross_fitting, out_of_fold, predict_held_out

SCENES = SceneExamples(0, 5, (128, 160))
START = as_checkpoint(small_network(num_classes=len(SCENES.labels)), SCENES.labels)
QUICK = FineTuningSettings(epochs=2, batch_size=2, min_size=64, max_size=96, threads=1)


@pytest.fixture(autouse=True)
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "REGIONS_PER_IMAGE", 8)
    monkeypatch.setattr(plan, "MASKS_PER_IMAGE", 1)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[bytes]]]:
    """In order: ("train", the images of a training run) and ("judge", [an image])."""
    events: list[tuple[str, list[bytes]]] = []

    def watched_training(start: Any, train: Any, *rest: Any, **options: Any) -> Any:
        events.append(("train", [train[index].image.tobytes() for index in range(len(train))]))
        return fine_tune(start, train, *rest, **options)

    def watched_prediction(detector: Any, example: Example, labels: Any) -> OutOfFold:
        events.append(("judge", [example.image.tobytes()]))
        return predict_held_out(detector, example, labels)

    monkeypatch.setattr(cross_fitting, "fine_tune", watched_training)
    monkeypatch.setattr(cross_fitting, "predict_held_out", watched_prediction)
    return events


def test_no_image_is_judged_by_heads_that_were_trained_on_it(
    tmp_path: Path, seen: list[tuple[str, list[bytes]]]
) -> None:
    found = out_of_fold(START, SCENES, tmp_path, folds=2, settings=QUICK)
    assert [len(one.class_scores) for one in found] == [len(example.boxes) for example in SCENES]
    trained: list[bytes] = []
    judged = []
    for event, images in seen:
        if event == "train":
            trained = images
        else:
            assert images[0] not in trained and len(trained) in (2, 3)
            judged += images
    assert sorted(judged) == sorted(example.image.tobytes() for example in SCENES)


def test_the_same_call_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    steps: list[int] = []
    first = out_of_fold(
        START, SCENES, tmp_path, folds=2, settings=QUICK, on_progress=lambda p: steps.append(p.step)
    )
    assert steps
    trained, steps[:] = list(steps), []
    again = out_of_fold(
        START, SCENES, tmp_path, folds=2, settings=QUICK, on_progress=lambda p: steps.append(p.step)
    )
    anew = out_of_fold(START, SCENES, tmp_path / "anew", folds=2, settings=QUICK)
    assert trained and not steps, "finished folds are not trained again"
    for one, *others in zip(first, again, anew, strict=True):
        for other in others:
            np.testing.assert_array_equal(one.class_scores, other.class_scores)
            np.testing.assert_array_equal(one.instances.boxes, other.instances.boxes)


def test_the_trunk_is_frozen_and_seen_once_for_all_folds(tmp_path: Path) -> None:
    out_of_fold(START, SCENES, tmp_path, folds=2, settings=QUICK)
    cached = list((tmp_path / cross_fitting.CACHE).iterdir())
    assert 0 < len(cached) <= len(SCENES) * plan.VIEWS
    assert '"frozen_stages": 4' in (tmp_path / "fold0" / "plan.json").read_text()


@pytest.mark.parametrize("folds", [1, 6])
def test_too_few_images_for_the_folds_are_a_sentence(tmp_path: Path, folds: int) -> None:
    with pytest.raises(TrainingError, match="cannot be divided"):
        out_of_fold(START, SCENES, tmp_path, folds=folds, settings=QUICK)
