"""Simulations with pretended fine-tunings: who labels what with which pre-labels, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from simulated_data import FakeTrainer, write_scenes
from small_networks import as_checkpoint, small_network

from fbnetv3 import Detector
from fbnetv3.active_learning import STRATEGIES, pool_image
from fbnetv3.data.coco import CocoError
from fbnetv3.data.snapshot import is_held_out
from fbnetv3.finetuning import FineTuningSettings, TrainingError
from fbnetv3.judging import (
    Effort,
    comparison,
    findings_of,
    fit_calibration,
    judge,
    operating_point,
    outcomes_of,
    seconds_with,
)
from fbnetv3.scenes import SCENE_LABELS
from fbnetv3.simulation import (
    OrderComparison,
    Replay,
    ReplayData,
    RoundResult,
    SimulationError,
    SimulationSettings,
    StartResult,
    read_replay_data,
    report,
)
from fbnetv3.simulation.order_comparison_plot import plot_comparison
from fbnetv3.simulation.orders import ORDERS, Queue
from fbnetv3.simulation.plot import plot
from fbnetv3.weights import Checkpoint, load_checkpoint

TRAIN, VAL = 11, 2
FILE_ORDER = SimulationSettings((9, 11), seeds=1, order="file")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReplayData:
    folder = tmp_path_factory.mktemp("scenes")
    return read_replay_data(write_scenes(folder, ["train"] * TRAIN + ["val"] * VAL), folder)


@cache
def starter() -> Checkpoint:
    return load_checkpoint("starter")


@cache
def stranger() -> Checkpoint:
    """Knows other labels."""
    return as_checkpoint(small_network())


@cache
def ignorant() -> Checkpoint:
    """Knows the labels' names and nothing else."""
    return as_checkpoint(small_network(num_classes=len(SCENE_LABELS), score_threshold=0.99), SCENE_LABELS)


class TestReplay:
    def test_like_the_product(self, data: ReplayData, tmp_path: Path):
        """Strange start weights pre-label nothing; the first training is promoted, and pre-labels from then on."""
        trainer = FakeTrainer([starter()])
        heard: list[RoundResult] = []
        said: list[str] = []
        settings = replace(FILE_ORDER, training=FineTuningSettings(frozen_stages=3))
        replay = Replay(data, stranger(), settings, tmp_path, trainer, heard.append, said.append)
        start, results = replay.run()
        first, second = results

        assert start.known_labels == () and start.box_AP50 == start.no_edit_share == 0
        assert heard == results and any("step 1/1" in text for text in said)
        assert [call["start"] for call in trainer.calls] == [stranger().digest, starter().digest]
        for call, labels in zip(trainer.calls, (9, 11), strict=True):
            labelled = data.pool[:labels]
            assert call["train"] == [id_ for id_ in labelled if not is_held_out(id_)]
            assert call["holdout"] == [id_ for id_ in labelled if is_held_out(id_)]
            assert call["settings"].frozen_stages == 3
        assert first.held_out > 0, "the test needs a held out image in the first round"

        assert first.promoted and not second.promoted, "the second one is equal"
        assert first.box_AP50 == second.box_AP50 > 0.3
        assert (first.labels, second.labels) == (9, 11) and first.objects < second.objects
        assert first.person_seconds == first.person_seconds_without > 0
        gained = [
            second.person_seconds - first.person_seconds,
            second.person_seconds_without - first.person_seconds,
        ]
        assert gained[0] < gained[1]
        assert len(list(tmp_path.rglob("weights.safetensors"))) == 1, "the rejected one is not kept"
        assert not list(tmp_path.rglob("state.pt")) and not (tmp_path / "features").exists()

    def test_a_candidate_that_is_worse_does_not_serve(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([ignorant()])
        start, [result] = Replay(data, starter(), replace(FILE_ORDER, rounds=(9,)), tmp_path, trainer).run()
        assert start.known_labels == SCENE_LABELS
        assert not result.promoted and result.box_AP50 == start.box_AP50 > 0.3
        assert result.person_seconds < result.person_seconds_without, "the start weights pre-label"

    def test_a_training_that_fails_changes_nothing(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([TrainingError("too few labels"), starter()])
        _, [first, second] = Replay(data, stranger(), FILE_ORDER, tmp_path, trainer).run()
        assert not first.promoted and "too few labels" in first.reason and first.train_seconds == 0
        assert second.promoted and trainer.calls[1]["start"] == stranger().digest

    def test_seeds_choose_other_images_and_other_training(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([stranger()])
        settings = SimulationSettings((3,), seeds=2)
        _, results = Replay(data, stranger(), settings, tmp_path, trainer).run()
        assert [call["settings"].seed for call in trainer.calls] == [0, 1]
        assert set(results[0].image_ids) != set(results[1].image_ids)

    def test_rounds_larger_than_the_data_become_one(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, rounds=(10, 50, 100))
        _, results = Replay(data, stranger(), settings, tmp_path, FakeTrainer([stranger()])).run()
        assert [result.labels for result in results] == [10, TRAIN]


class TestGoingOn:
    def test_what_is_finished_is_not_computed_again(self, data: ReplayData, tmp_path: Path):
        """Interrupted in the second round: the same command does that round only, and finds the same."""
        whole = Replay(data, stranger(), FILE_ORDER, tmp_path / "whole", FakeTrainer([starter()]))
        cut = replace(whole, folder=tmp_path / "cut", trainer=FakeTrainer([starter(), Interrupted()]))
        with pytest.raises(Interrupted):
            cut.run()
        again = FakeTrainer([starter()])
        assert replace(cut, trainer=again).run() == whole.run()
        assert len(again.calls) == 1 and again.calls[0]["start"] == starter().digest
        assert (
            replace(cut, trainer=FakeTrainer([AssertionError("nothing is left to do")])).run() == whole.run()
        )

    def test_seeds_can_be_added_and_nothing_else_changed(self, data: ReplayData, tmp_path: Path):
        one = Replay(data, stranger(), SimulationSettings((3,), 1), tmp_path, FakeTrainer([stranger()]))
        one.run()
        two = replace(one, settings=SimulationSettings((3,), 2), trainer=FakeTrainer([stranger()]))
        assert len(two.run()[1]) == 2 and len(two.trainer.calls) == 1
        with pytest.raises(SimulationError, match="another rounds, order"):
            replace(one, settings=SimulationSettings((4,), order="file")).run()
        with pytest.raises(SimulationError, match="another weights"):
            replace(one, start=ignorant()).run()
        faster = SimulationSettings((3,), 1, training=FineTuningSettings(threads=1, cache_bytes=0))
        replace(one, settings=faster).run()


class Interrupted(Exception):
    """Stands for a killed process."""


class TestSettings:
    @pytest.mark.parametrize("rounds", [(), (0, 5), (10, 5), (5, 5)])
    def test_rounds_rise(self, rounds: tuple[int, ...]):
        with pytest.raises(SimulationError, match="rising"):
            SimulationSettings(rounds)

    def test_unknown_order_and_no_seed(self):
        with pytest.raises(SimulationError, match="random, file"):
            SimulationSettings((5,), order="alphabetical")
        with pytest.raises(SimulationError, match="seed"):
            SimulationSettings((5,), seeds=0)
        with pytest.raises(SimulationError, match="share"):
            SimulationSettings((5,), random_share=1.5)


def queue(data: ReplayData, labelled: tuple[int, ...] = (), seed: int = 0, **changes: Any) -> Queue:
    plain = Queue(data.pool, labelled, data.pixels, detector(), data.labels, seed)
    return replace(plain, **changes)


@cache
def detector() -> Detector:
    return Detector.load(starter(), engine="torch", threads=1)


class TestOrders:
    def test_random_is_one_shuffle_per_seed(self, data: ReplayData):
        order = ORDERS["random"]
        all_at_once = list(order(queue(data), TRAIN))
        assert sorted(all_at_once) == sorted(data.pool) and all_at_once != list(data.pool)
        assert list(order(queue(data, tuple(all_at_once[:4])), 3)) == all_at_once[4:7]
        assert list(order(queue(data, seed=1), TRAIN)) != all_at_once

    def test_file(self, data: ReplayData):
        assert ORDERS["file"](queue(data, seed=5), 3) == data.pool[:3]

    @pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"random"}))
    def test_a_strategy_orders_what_waits(self, name: str, data: ReplayData):
        labelled, others = data.pool[:2], data.pool[2:6]
        first = ORDERS[name](queue(data, labelled, pool=labelled + others, random_share=0.0), TRAIN)
        assert sorted(first) == sorted(others)
        waiting = [pool_image(detector(), data.pixels(id_)) for id_ in others]
        known = np.stack([pool_image(detector(), data.pixels(id_)).pooled for id_ in labelled])
        expected = STRATEGIES[name].order(waiting, known, 0)
        assert list(first) == [others[place] for place in expected.indices]

    def test_a_share_is_left_to_chance(self, data: ReplayData):
        """All of it is the random order of what waits, which before the first label is the random order."""
        chance = queue(data, pool=data.pool[:5], random_share=1.0)
        assert list(ORDERS["entropy"](chance, TRAIN)) == list(ORDERS["random"](chance, TRAIN))

    @pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy", "expected_edits"])
    def test_where_no_label_is_known(self, name: str, data: ReplayData):
        """What is found says nothing: the order is the random one, the random share notwithstanding."""
        strange = queue(data, labels=("zebra",), pool=data.pool[:5])
        assert list(ORDERS[name](strange, TRAIN)) == list(ORDERS["random"](strange, TRAIN))

    def test_labels_stay_hidden(self, data: ReplayData):
        """The same pictures without any label are ordered alike."""
        bare = replace(data, data={**data.data, "annotations": []})
        both = [queue(one, data.pool[:1], pool=data.pool[:5]) for one in (bare, data)]
        first, second = (list(ORDERS["combined"](one, TRAIN)) for one in both)
        assert first == second


class TestWithoutTheGate:
    def test_every_candidate_serves(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, rounds=(9,), gated=False)
        start, [result] = Replay(data, starter(), settings, tmp_path, FakeTrainer([ignorant()])).run()
        assert result.promoted and result.box_AP50 == 0 < start.box_AP50

    def test_its_calibration_comes_from_the_hold_out(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, rounds=(9,), gated=False)
        replay = Replay(data, stranger(), settings, tmp_path, FakeTrainer([starter()]))
        [result] = replay.run()[1]
        holdout = data.of(id_ for id_ in data.pool[:9] if is_held_out(id_))
        assert result.calibration == fit_calibration(judge(detector(), holdout).regions)
        assert result.calibration.regions > 0 and replay.run()[1] == [result], "and is kept"
        found = findings_of(detector(), holdout)
        assert result.thresholds == operating_point(found, data.labels, Effort(), 0.3)

    def test_the_person_and_the_figures_see_regions_from_the_thresholds_on(
        self, data: ReplayData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        own = dict.fromkeys(data.labels, 0.9)
        monkeypatch.setattr(comparison, "operating_point", lambda *_: own)
        settings = replace(FILE_ORDER, gated=False)
        start, (first, second) = Replay(data, stranger(), settings, tmp_path, FakeTrainer([starter()])).run()
        assert first.thresholds == second.thresholds == own
        figures = judge(detector(), data.of(data.figures), 0.9)
        assert first.no_edit_share == figures.no_edit_share != start.no_edit_share
        outcomes = outcomes_of(detector(), data.of(second.image_ids), own)
        assert second.person_seconds - first.person_seconds == pytest.approx(seconds_with(outcomes), abs=0.1)


class TestComparison:
    SETTINGS = SimulationSettings((2, 3), seeds=2)

    def test_random_beside_and_equal_first_rounds_once(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([stranger()])
        few = replace(data, pool=data.pool[:4], figures=data.figures[:1])
        replay = Replay(few, stranger(), self.SETTINGS, tmp_path, trainer)
        reports = OrderComparison(replay, ("entropy",)).run()
        assert list(reports) == ["random", "entropy"]
        assert [one["labels"] for one in reports["entropy"]["rounds"]] == [2, 3]
        assert len(reports["random"]["rounds"][0]["seeds"]) == 2
        # Strange weights: entropy begins as random does. Each of 2 seeds: 2 rounds of two orders, less one.
        assert len(trainer.calls) == 2 * 3 and not (tmp_path / "features").exists()
        assert (tmp_path / "entropy" / "seed1" / "labels2" / "result.json").exists()
        again = OrderComparison(replace(replay, trainer=FakeTrainer([AssertionError()])), ("entropy",))
        assert again.run() == reports

    def test_a_picture(self, tmp_path: Path):
        one = report(START, [result(seed, labels) for seed in (0, 1) for labels in (10, 20)])
        plot_comparison(dict.fromkeys(ORDERS, one), tmp_path / "compare.png", "a title")
        assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")

    def test_unknown_order(self, data: ReplayData, tmp_path: Path):
        replay = Replay(data, stranger(), self.SETTINGS, tmp_path, FakeTrainer([stranger()]))
        with pytest.raises(SimulationError, match="alphabetical"):
            OrderComparison(replay, ("entropy", "alphabetical"))


class TestReplayData:
    def test_val_else_test(self, data: ReplayData, tmp_path: Path):
        assert (data.split, len(data.pool), len(data.figures)) == ("val", TRAIN, VAL)
        file = write_scenes(tmp_path, ["test", "train", "train"])
        other = read_replay_data(file, tmp_path)
        assert (other.split, other.pool, other.figures) == ("test", (2, 3), (1,))

    @pytest.mark.parametrize("split", [None, "train", "val"])
    def test_a_fifth_is_set_aside_where_the_data_does_not_say(self, split: str | None, tmp_path: Path):
        file = write_scenes(tmp_path, [split] * 10)
        data = read_replay_data(file, tmp_path)
        assert (len(data.pool), len(data.figures)) == (8, 2)
        assert sorted(data.pool + data.figures) == list(range(1, 11))
        assert data.pool == read_replay_data(file, tmp_path).pool and "set aside" in data.split

    def test_one_image_is_too_few(self, tmp_path: Path):
        with pytest.raises(CocoError, match="too few images"):
            read_replay_data(write_scenes(tmp_path, [None]), tmp_path)


def result(seed: int, labels: int, **changes: float | None) -> RoundResult:
    value = labels / 100 + seed / 10
    plain = RoundResult(
        value,
        value,
        value,
        value,
        value,
        value,
        seed,
        labels,
        3 * labels,
        1,
        value,
        value,
        value,
        True,
        "",
        (7,),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


START = StartResult(0.0, 0.0, None, None, 0.0, 0.0, ())


class TestReport:
    def test_means_and_single_seeds(self):
        results = [result(seed, labels) for seed in (0, 1) for labels in (10, 20)]
        content = json.loads(json.dumps(report(START, results)))
        assert content["start"]["labels"] == content["start"]["objects"] == 0
        assert [one["labels"] for one in content["rounds"]] == [10, 20]
        asked = [
            "objects",
            "box_AP50",
            "mask_AP50",
            "no_edit_share",
            "false_positives_per_image",
            "train_seconds",
        ]
        for one in content["rounds"]:
            assert [single["seed"] for single in one["seeds"]] == [0, 1]
            for name in [*asked, "person_seconds", "person_seconds_without"]:
                assert one[name] == pytest.approx(fmean(single[name] for single in one["seeds"])), name

    def test_without_masks(self):
        [one] = report(START, [result(0, 10, mask_AP50=None)])["rounds"]
        assert one["mask_AP50"] is None and one["seeds"][0]["mask_AP50"] is None

    @pytest.mark.parametrize("masks", [True, False])
    def test_a_picture(self, masks: bool, tmp_path: Path):
        changes = {} if masks else {"mask_AP50": None}
        results = [result(seed, labels, **changes) for seed in (0, 1) for labels in (10, 20)]
        plot(report(START, results), tmp_path / "curves.png", "a title")
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
