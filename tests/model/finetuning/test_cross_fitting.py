"""Cross-fitting: who is left out where, what the last run starts from, and going on after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import as_checkpoint, small_network

from fbnetv3.data.examples import ChosenExamples, Examples, SceneExamples
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress, cross_fitting
from fbnetv3.finetuning.cross_fitting import CrossFitted, cross_fit, folds_of, mean_of
from fbnetv3.finetuning.start import sources_by_name
from fbnetv3.weights import Checkpoint

SMALL = FineTuningSettings(epochs=2, min_size=64, max_size=96, threads=1)
SCENES = SceneExamples(0, 4, (128, 160))


@pytest.fixture
def start() -> Checkpoint:
    return as_checkpoint(small_network(num_classes=len(SCENES.labels)), SCENES.labels)


class Trainings:
    """Stands in for `fine_tune`: notes what it is given, and adds one to every weight."""

    def __init__(self) -> None:
        self.calls: list[tuple[Checkpoint, tuple[int, ...], FineTuningSettings]] = []

    def __call__(
        self,
        start: Checkpoint,
        train: Examples,
        holdout: Examples,
        folder: Path,
        settings: FineTuningSettings,
        **others: Any,
    ) -> FineTuned:
        assert isinstance(train, ChosenExamples) and not len(holdout)
        self.calls.append((start, tuple(train.places), settings))
        state = {name: value + len(self.calls) for name, value in start.state.items()}
        checkpoint = Checkpoint(state, start.model, train.labels, start.settings)
        others["on_progress"](Progress(5, 10, {}, 0.1, 4.0, 5.0))
        return FineTuned(checkpoint, None, 1.0, 10)  # type: ignore[arg-type]


def cross_fitted(start: Checkpoint, folder: Path, images: Examples = SCENES, **others: Any) -> CrossFitted:
    sources = sources_by_name(images.labels, start.labels)
    return cross_fit(start, images, folder, SMALL, sources=sources, **others)


class TestFolds:
    @pytest.mark.parametrize(("count", "folds"), [(3, 3), (4, 3), (30, 3), (31, 2), (100, 2)])
    def test_every_image_is_left_out_once(self, count: int, folds: int) -> None:
        found = folds_of(range(count))
        assert len(found) == folds
        assert sorted(place for fold in found for place in fold) == list(range(count))
        assert max(map(len, found)) - min(map(len, found)) <= 1

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_too_few_have_none(self, count: int) -> None:
        assert folds_of(range(count)) == ()

    def test_of_many_images_every_fifth_is_enough(self) -> None:
        assert folds_of(range(101)) == (tuple(range(0, 101, 5)),)

    def test_a_picture_that_is_there_twice_is_left_out_whole(self) -> None:
        assert folds_of(["a", "b", "a", "c", "d"]) == ((0, 2, 4), (1,), (3,))
        assert folds_of(["a", "a", "b", "b"]) == (), "two pictures are too few"

    def test_a_fold_that_leaves_nothing_to_learn_is_no_fold(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainings = Trainings()
        monkeypatch.setattr(cross_fitting, "fine_tune", trainings)
        only_first = OnlyFirst(SCENES)
        found = cross_fitted(start, tmp_path, only_first)
        assert [fold.places for fold in found.folds] == [(1,), (2,)]


class OnlyFirst:
    """Scenes of which the first alone has objects."""

    def __init__(self, scenes: SceneExamples) -> None:
        self._scenes, self.labels = scenes, scenes.labels

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> Any:
        example = self._scenes[index]
        if not index:
            return example
        return replace(example, boxes=example.boxes[:0], classes=example.classes[:0], masks=())


class TestRuns:
    def test_folds_begin_at_the_start_and_the_last_run_at_their_mean(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainings = Trainings()
        monkeypatch.setattr(cross_fitting, "fine_tune", trainings)
        found = cross_fitted(start, tmp_path)
        starts, places, settings = zip(*trainings.calls, strict=True)
        assert places == ((1, 2), (0, 2, 3), (0, 1, 3), (0, 1, 2, 3))
        assert all(one is start for one in starts[:3])
        name = "roi_heads.box_predictor.cls_score.bias"
        assert torch.allclose(starts[3].state[name], start.state[name] + 2), "the mean of + 1, + 2 and + 3"
        assert [fold.places for fold in found.folds] == [(0, 3), (1,), (2,)]
        assert found.tuned.checkpoint.provenance["start"] == start.digest
        assert len({(one.min_size, one.max_size, one.anchor_sizes) for one in settings}) == 1

    def test_progress_is_that_of_the_whole(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        heard: list[Progress] = []
        cross_fitted(start, tmp_path, on_progress=heard.append)
        assert [one.step for one in heard] == [5, 15, 25, 35]
        assert {one.steps for one in heard} == {40}
        left = [one.seconds_left for one in heard]
        assert left == sorted(left, reverse=True) and left[-1] == 5

    def test_folds_that_are_done_are_not_trained_again(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainings = Trainings()
        monkeypatch.setattr(cross_fitting, "fine_tune", trainings)
        first = cross_fitted(start, tmp_path)
        again = cross_fitted(start, tmp_path)
        assert len(trainings.calls) == 5, "the last run alone: it goes on by itself"
        assert [one.checkpoint.digest for one in again.folds] == [
            one.checkpoint.digest for one in first.folds
        ]

    def test_it_trains(self, tmp_path: Path) -> None:
        found = cross_fitted(as_checkpoint(small_network()), tmp_path)
        digests = {found.tuned.checkpoint.digest, *(fold.checkpoint.digest for fold in found.folds)}
        assert len(digests) == 4
        assert found.tuned.checkpoint.labels == SCENES.labels


def test_the_mean_of_weights_is_that_of_each_tensor(start: Checkpoint) -> None:
    other = as_checkpoint(small_network(seed=1, num_classes=len(SCENES.labels)), SCENES.labels)
    found = mean_of([start, other])
    for name, value in found.state.items():
        if value.is_floating_point():
            assert torch.allclose(value, (start.state[name] + other.state[name]) / 2)
