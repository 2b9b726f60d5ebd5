"""Cross-fitting: who is left out where, what the last run starts from, and going on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import as_checkpoint, small_network

from fbnetv3.data.examples import ChosenExamples, Examples, SceneExamples
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress, cross_fitting, loop
from fbnetv3.finetuning.cross_fitting import CrossFitted, LeftOut, cross_fit, kept_folds, mean_of
from fbnetv3.finetuning.evidence import left_out_findings
from fbnetv3.finetuning.plan import PLAN, Outlines, Plan, make_plan
from fbnetv3.finetuning.served_size import at_scale
from fbnetv3.finetuning.start import sources_by_name
from fbnetv3.folds import folds_of, shared_out
from fbnetv3.instances import Instances
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
        assert not len(holdout)
        places = tuple(train.places) if isinstance(train, ChosenExamples) else tuple(range(len(train)))
        self.calls.append((start, places, settings))
        state = {name: value + len(self.calls) for name, value in start.state.items()}
        plan = make_plan(start, Outlines.of(train), settings)
        checkpoint = plan.on_trained(Checkpoint(state, start.model, train.labels, start.settings))
        others["on_progress"](Progress(5, 10, {}, 0.1, 4.0, 5.0))
        return FineTuned(checkpoint, plan, 1.0, 10)


def cross_fitted(
    start: Checkpoint,
    folder: Path,
    images: Examples = SCENES,
    settings: FineTuningSettings = SMALL,
    **others: Any,
) -> CrossFitted:
    sources = sources_by_name(images.labels, start.labels)
    return cross_fit(start, images, folder, settings, sources=sources, **others)


class TestFolds:
    @pytest.mark.parametrize(("count", "folds"), [(2, 2), (3, 3), (4, 3), (30, 3)])
    def test_every_image_is_left_out_once(self, count: int, folds: int) -> None:
        found = folds_of(range(count))
        assert len(found) == folds
        assert sorted(place for fold in found for place in fold) == list(range(count))
        assert max(map(len, found)) - min(map(len, found)) <= 1

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few_have_none(self, count: int) -> None:
        assert folds_of(range(count)) == ()

    @pytest.mark.parametrize(("count", "share"), [(31, 3), (100, 3), (101, 5), (1000, 5)])
    def test_of_many_images_the_same_part_is_always_left_out(self, count: int, share: int) -> None:
        [fold] = folds_of(range(count))
        assert 0.5 < share * len(fold) / count < 1.7
        backwards = range(count)[::-1]
        assert {backwards[place] for place in folds_of(backwards)[0]} == set(fold)
        if share == 3:
            [more] = folds_of(range(count - 1, -1, -1))
            [larger] = folds_of(range(max(count, 60)))
            assert len(more) == len(fold) and set(fold) == {place for place in larger if place < count}

    def test_a_picture_that_is_there_twice_is_left_out_whole(self) -> None:
        assert folds_of(["a", "b", "a", "c", "d"]) == ((0, 2, 4), (1,), (3,))
        assert folds_of(["a", "a", "b", "b"]) == ((0, 1), (2, 3))
        assert folds_of(["a", "a"]) == (), "one picture is too few"

    def test_new_images_are_shared_out_and_others_go_where_they_were_left_out(self) -> None:
        pictures = ["old", "a", "b", "c", "older"]
        assert shared_out(range(5), pictures, [{"older"}, {"old"}]) == [[1, 3, 4], [0, 2]]
        assert shared_out(range(5), pictures, [{"older"}, {"old"}], ("old", "older", "b")) == [[1, 4], [0, 3]]
        assert shared_out([2], pictures, [(), ()]) == [[2], []]
        assert shared_out(range(5), pictures, []) == []

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


class Crowded(OnlyFirst):
    """Scenes of which the first has twenty objects."""

    def __getitem__(self, index: int) -> Any:
        example = self._scenes[index]
        if index:
            return example
        boxes, classes = example.boxes[[0] * 20], example.classes[[0] * 20]
        return replace(example, boxes=boxes, classes=classes, masks=None)


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

    def test_folds_and_the_last_run_are_served_at_the_size_that_the_folds_chose(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[list[tuple[int, ...]]] = []

        def larger(plan: Plan, lookers: Sequence[Any], *_: Any) -> Plan:
            asked.append([places for _, places in lookers])
            return replace(at_scale(plan, 1.25), reasons=plan.reasons | {"served": "finds more"})

        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        monkeypatch.setattr(cross_fitting, "with_served_size", larger)
        found = cross_fitted(start, tmp_path)
        assert asked == [[(0, 3), (1,), (2,)]], "images that each fold has not learnt from"
        sizes = {one.checkpoint.settings["min_size"] for one in (found.tuned, *found.folds)}
        assert sizes == {one.checkpoint.settings["min_size"] for one in kept_folds(tmp_path)} == {80}
        written = json.loads((tmp_path / PLAN).read_text())
        assert (written["min_size"], written["served"]["min_size"]) == (64, 80)

    def test_crowded_images_in_one_fold_alone_change_nothing_for_the_others(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        found = cross_fitted(start, tmp_path, Crowded(SCENES))
        settings = [one.checkpoint.settings for one in (found.tuned, *found.folds)]
        assert {one["post_nms_proposals_test"] for one in settings} == {200}
        assert {one["pre_nms_proposals_test"] for one in settings} == {2000}

    def test_a_size_is_chosen_and_served_without_being_asked_for(self, tmp_path: Path) -> None:
        small = as_checkpoint(
            small_network(num_classes=len(SCENES.labels)), SCENES.labels, min_size=64, max_size=96
        )
        settings = FineTuningSettings(epochs=2, threads=1)
        found = [cross_fitted(small, tmp_path, settings=settings) for _ in range(2)]
        plans = [one.tuned.plan for one in found]
        assert plans[0] == plans[1], "the same again in the same folder"
        assert "box AP in images left out" in plans[0].reasons["served"]
        served = plans[0].served["min_size"]
        assert {one.checkpoint.settings["min_size"] for one in found[1].folds} == {served}
        assert found[1].tuned.checkpoint.settings["min_size"] == served

    def test_progress_is_that_of_the_whole(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        heard: list[Progress] = []
        twenty = replace(SMALL, epochs=20, batch_size=len(SCENES))
        cross_fitted(start, tmp_path, settings=twenty, on_progress=heard.append)
        assert [one.step for one in heard] == [5, 15, 25, 35]
        assert {one.steps for one in heard} == {40}
        left = [one.seconds_left for one in heard]
        assert left == sorted(left, reverse=True) and left[-1] == 5

    def test_after_a_single_fold_the_last_run_is_a_whole_one(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cross_fitting, "fine_tune", trainings := Trainings())
        images = SceneExamples(0, 31, (128, 160))
        cross_fitted(start, tmp_path, images, replace(SMALL, epochs=20, batch_size=31))
        (_, fold, half), (_, last, whole) = trainings.calls
        assert len(fold) < len(last) == 31 and half.epochs and whole.epochs
        assert round(half.epochs * len(fold) / half.batch_size) == 10
        assert round(whole.epochs * 31 / whole.batch_size) == 20

    def test_one_fold_without_an_object_is_no_judge(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All images take turns then, as of few."""
        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        images = OnlyFirst(SceneExamples(0, 31, (128, 160)))
        found = cross_fitted(start, tmp_path, images, pictures=range(31))
        assert sorted(place for fold in found.folds for place in fold.places) == [
            place for place in range(31) if place % 3
        ]

    def test_an_interrupted_one_ends_as_an_uninterrupted_one(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stopped in the last fold: those before it are not trained again."""
        monkeypatch.setattr(loop, "REPORT_EVERY", 1)
        three = SceneExamples(0, 3, (128, 160))
        told: list[int] = []
        whole = cross_fitted(start, tmp_path / "whole", three, on_progress=lambda one: told.append(one.step))
        last_fold = told[len(told) // 2]

        def interrupt(progress: Progress) -> None:
            if progress.step == last_fold:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cross_fitted(start, tmp_path / "cut", three, on_progress=interrupt)
        again: list[int] = []
        resumed = cross_fitted(start, tmp_path / "cut", three, on_progress=lambda one: again.append(one.step))
        assert resumed.tuned.checkpoint.digest == whole.tuned.checkpoint.digest
        digests = [[fold.checkpoint.digest for fold in one.folds] for one in (resumed, whole)]
        assert digests[0] == digests[1]
        assert len(again) < len(told)

    def test_folds_are_read_as_they_were_kept(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the process that judges, which may be another one."""
        monkeypatch.setattr(cross_fitting, "fine_tune", Trainings())
        folds = cross_fitted(start, tmp_path).folds
        kept = kept_folds(tmp_path)
        assert [(one.places, one.train_seconds) for one in kept] == [((0, 3), 1.0), ((1,), 1.0), ((2,), 1.0)]
        assert [one.checkpoint.digest for one in kept] == [one.checkpoint.digest for one in folds]

    def test_a_single_image_is_learnt_from_by_one_run(
        self, start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cross_fitting, "fine_tune", trainings := Trainings())
        found = cross_fitted(start, tmp_path, SceneExamples(0, 1, (128, 160)))
        [(begun_with, places, _)] = trainings.calls
        assert begun_with is start and places == (0,) and not found.folds and not kept_folds(tmp_path)

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


class TestEvidence:
    @dataclass
    class Noting:
        """A detector that notes the images which it is shown, and finds nothing."""

        shown: list[Any] = field(default_factory=list)
        labels: tuple[str, ...] = SCENES.labels
        has_masks: bool = False

        def predict(self, images: Sequence[Any], *_: Any, **__: Any) -> list[Instances]:
            self.shown += images
            return [Instances.empty(image.shape[:2], self.labels) for image in images]

    def test_each_image_is_shown_to_the_fold_that_it_was_kept_from(self, start: Checkpoint) -> None:
        places = ((0, 3), (2,))
        folds = [
            LeftOut(replace(start, provenance={"fold": str(i)}), one, 1.0) for i, one in enumerate(places)
        ]
        detectors = {str(i): self.Noting() for i in range(2)}
        heard: list[int] = []
        found = left_out_findings(
            folds,
            SCENES,
            ("a", "b", "c", "d"),
            lambda weights: detectors[weights.provenance["fold"]],  # type: ignore[arg-type, return-value]
            lambda: heard.append(1),
        )
        assert list(found) == ["a", "c", "d"] and len(heard) == 3
        for number, own in enumerate(places):
            shown = detectors[str(number)].shown
            assert len(shown) == len(own)
            for image, place in zip(shown, own, strict=True):
                assert (image == SCENES[place].image).all()
