"""The gate against fine-tunings that learned nonsense: labels that belong to other objects, or to other images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuningSettings, fine_tune
from fbnetv3.judging import Effort, Judgement, decide, judge
from fbnetv3.scenes import SCENE_LABELS
from fbnetv3.weights import Checkpoint, load_checkpoint

SIZE = (192, 256)
LABELLED, HELD_OUT = 12, 8
BRIEF = FineTuningSettings(
    epochs=6, learning_rate=1e-3, frozen_stages=4, min_size=192, max_size=256, threads=1
)

LabelsOf = Callable[[SceneExamples, int], Example]


@dataclass(frozen=True)
class Scenes:
    """Scenes whose boxes are known, and no masks, which would double the time. `labels_of`: what is said to be in
    scene number i of these."""

    first: int
    count: int
    labels_of: LabelsOf = SceneExamples.__getitem__
    labels: tuple[str, ...] = SCENE_LABELS

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        scenes = SceneExamples(self.first, self.count, SIZE)
        said = self.labels_of(scenes, index)
        return Example(scenes[index].image, said.boxes, said.classes, None)


def of_another_image(scenes: SceneExamples, index: int) -> Example:
    """The boxes and labels of the next scene of the same format, which alternates."""
    return scenes[(index + 2) % len(scenes)]


def of_other_objects(scenes: SceneExamples, index: int) -> Example:
    """The right boxes with any labels."""
    example = scenes[index]
    any_classes = np.random.default_rng(index).integers(len(SCENE_LABELS), size=len(example.classes))
    return replace(example, classes=any_classes)


@pytest.fixture(scope="module")
def holdout() -> Scenes:
    return Scenes(9_900_000, HELD_OUT)


@pytest.fixture(scope="module")
def starter() -> Checkpoint:
    return load_checkpoint("starter")


@pytest.fixture(scope="module")
def serving(starter: Checkpoint, holdout: Scenes) -> Judgement:
    return judged(starter, holdout)


@pytest.fixture(scope="module")
def trained(
    starter: Checkpoint, holdout: Scenes, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[LabelsOf], Judgement]:
    """The candidate that fine-tuning from the starter weights comes to, on the hold-out. All see the same images, so
    they share the cache."""
    settings = replace(BRIEF, cache=str(tmp_path_factory.mktemp("features")))

    @cache
    def trained(labels_of: LabelsOf) -> Judgement:
        labelled = Scenes(9_800_000, LABELLED, labels_of)
        folder = tmp_path_factory.mktemp("training")
        return judged(fine_tune(starter, labelled, holdout, folder, settings).checkpoint, holdout)

    return trained


def judged(weights: Checkpoint, holdout: Scenes) -> Judgement:
    return judge(Detector.load(weights, engine="torch", threads=1), holdout)


@pytest.mark.parametrize("labels_of", [of_another_image, of_other_objects])
def test_a_candidate_of_shuffled_labels_is_rejected(
    labels_of: LabelsOf, trained: Callable[[LabelsOf], Judgement], serving: Judgement
) -> None:
    decision = decide(trained(labels_of), serving, Effort())
    assert not decision.promoted, decision.reason


def test_one_of_the_right_labels_takes_the_place_of_such_a_one(
    trained: Callable[[LabelsOf], Judgement],
) -> None:
    decision = decide(trained(SceneExamples.__getitem__), trained(of_another_image), Effort())
    assert decision.promoted, decision.reason
