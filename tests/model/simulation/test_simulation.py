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
from fbnetv3.finetuning import FineTuningSettings, TrainingError
from fbnetv3.finetuning.cadence import Cadence
from fbnetv3.finetuning.cross_fitting import LeftOut
from fbnetv3.judging import ImageOutcome, findings_of, fit_calibration, judged_at_own_point
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
from fbnetv3.simulation.serving import Serving
from fbnetv3.weights import Checkpoint, load_checkpoint

TRAIN, VAL = 8, 2
FILE_ORDER = SimulationSettings((5, 7), seeds=1, order="file")
EACH_ROUND = Cadence(3, 0.01)
"""A training in every round that has three labels or more."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReplayData:
    folder = tmp_path_factory.mktemp("scenes")
    return read_replay_data(write_scenes(folder, ["train"] * TRAIN + ["val"] * VAL), folder)


@cache
def starter() -> Checkpoint:
    weights = load_checkpoint("starter")
    quick = {"min_size": 192, "max_size": 256, "post_nms_proposals_test": 30}
    return replace(weights, settings=weights.settings | quick)


@cache
def of_other_names() -> Checkpoint:
    """Sees the same things, and calls them otherwise."""
    return replace(starter(), labels=tuple(f"thing {i}" for i in range(len(SCENE_LABELS))))


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
        trainer = FakeTrainer([starter(), ignorant()])
        heard: list[RoundResult] = []
        said: list[str] = []
        settings = replace(FILE_ORDER, training=FineTuningSettings(frozen_stages=3))
        replay = Replay(data, stranger(), settings, tmp_path, trainer, heard.append, said.append)
        start, results = replace(replay, cadence=EACH_ROUND).run()
        first, second = results

        assert start.known_labels == () and start.box_AP50 == start.no_edit_share == 0
        assert heard == results and any("step 1/1" in text for text in said)
        assert [call["start"] for call in trainer.calls] == [stranger().digest] * 2, "each begins anew"
        assert [call["images"] for call in trainer.calls] == [list(data.pool[:5]), list(data.pool[:7])]
        assert trainer.calls[0]["settings"].frozen_stages == 3
        assert (first.judged, second.judged) == (5, 7), "every image judges"

        assert first.promoted and not second.promoted, "the second one finds nothing"
        assert first.box_AP50 == second.box_AP50 > 0.3
        assert (first.labels, second.labels) == (5, 7) and first.objects < second.objects
        assert first.person_seconds == first.person_seconds_without > 0
        gained = [
            second.person_seconds - first.person_seconds,
            second.person_seconds_without - first.person_seconds,
        ]
        assert gained[0] < gained[1]
        assert len(list(tmp_path.glob("*/*/weights.safetensors"))) == 1, "the rejected one is not kept"
        assert {fold.parts[-3] for fold in tmp_path.rglob("fold*")} == {"labels5"}, "nor are its folds"
        for name in ("state.pt", "features"):
            assert not list(tmp_path.rglob(name)), name

    def test_of_the_folds_those_that_serve_are_kept(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, gated=False)
        trainer = FakeTrainer([starter()])
        rounds = (3, 5, 7)
        settings = replace(settings, rounds=rounds)
        replay = Replay(data, stranger(), settings, tmp_path / "three", trainer, cadence=EACH_ROUND)
        replay.run()
        kept = {fold.parts[-3] for fold in (tmp_path / "three").rglob("fold*")}
        assert kept == {"labels3", "labels7"}, "of the first round, which another order may take over, too"

    def test_what_is_equal_does_not_take_the_place_of_what_serves(self, data: ReplayData, tmp_path: Path):
        """The version is judged on the new images by itself, on those it learnt from by what is remembered."""
        replay = Replay(data, stranger(), FILE_ORDER, tmp_path, FakeTrainer([starter()]), cadence=EACH_ROUND)
        _, [first, second] = replay.run()
        assert first.promoted and not second.promoted and second.judged == 7
        assert second.remembered == first.remembered
        assert sorted(map(int, first.remembered)) == sorted(data.pool[:5])
        assert (second.thresholds, second.calibration) == (first.thresholds, first.calibration)

    def test_a_candidate_that_is_worse_does_not_serve(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([ignorant()])
        start, [result] = Replay(data, starter(), replace(FILE_ORDER, rounds=(5,)), tmp_path, trainer).run()
        assert start.known_labels == SCENE_LABELS
        assert result.is_trained and not result.promoted and result.box_AP50 > 0.3
        assert result.person_seconds < result.person_seconds_without, "the start weights pre-label"

    def test_a_training_that_fails_changes_nothing(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([TrainingError("too few labels"), starter()])
        replay = Replay(data, stranger(), FILE_ORDER, tmp_path, trainer, cadence=EACH_ROUND)
        _, [first, second] = replay.run()
        assert not first.promoted and "too few labels" in first.reason and first.train_seconds == 0
        assert second.promoted and trainer.calls[1]["start"] == stranger().digest

    def test_a_training_runs_when_it_is_due(self, data: ReplayData, tmp_path: Path):
        """At three labels, and then at half as many again: not at two or four."""
        trainer = FakeTrainer([stranger()])
        settings = replace(FILE_ORDER, rounds=(2, 3, 4, 5))
        _, results = Replay(data, stranger(), settings, tmp_path, trainer).run()
        assert [result.is_trained for result in results] == [False, True, False, True]
        assert [len(call["images"]) for call in trainer.calls] == [3, 5]
        assert {result.reason for result in results if not result.is_trained} == {"No training run is due."}
        assert all(result.train_seconds == 0 for result in results if not result.is_trained)

    def test_before_the_first_training_a_provisional_version_pre_labels(
        self, data: ReplayData, tmp_path: Path
    ):
        """The start weights call everything otherwise: without it there would be no pre-label."""
        trainer = FakeTrainer([AssertionError("no training is due")])
        settings = replace(FILE_ORDER, rounds=(5, 8))
        replay = Replay(data, of_other_names(), settings, tmp_path, trainer, cadence=Cadence(20))
        start, [first, second] = replay.run()
        assert start.box_AP50 == 0 < first.box_AP50
        assert first.thresholds is not None and first.calibration.regions > 0 and not first.remembered
        assert first.person_seconds == first.person_seconds_without
        with_it = second.person_seconds - first.person_seconds
        assert with_it < second.person_seconds_without - first.person_seconds_without

    def test_seeds_choose_other_images_and_other_training(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([stranger()])
        settings = SimulationSettings((3,), seeds=2)
        _, results = Replay(data, stranger(), settings, tmp_path, trainer).run()
        assert [call["settings"].seed for call in trainer.calls] == [0, 1]
        assert set(results[0].image_ids) != set(results[1].image_ids)

    def test_rounds_larger_than_the_data_become_one(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, rounds=(7, 50, 100))
        _, results = Replay(data, stranger(), settings, tmp_path, FakeTrainer([stranger()])).run()
        assert [result.labels for result in results] == [7, TRAIN]


class TestGoingOn:
    def test_what_is_finished_is_not_computed_again(self, data: ReplayData, tmp_path: Path):
        """Interrupted in the second round: the same command does that round only, and finds the same."""
        whole = Replay(
            data, stranger(), FILE_ORDER, tmp_path / "whole", FakeTrainer([starter()]), cadence=EACH_ROUND
        )
        cut = replace(whole, folder=tmp_path / "cut", trainer=FakeTrainer([starter(), Interrupted()]))
        with pytest.raises(Interrupted):
            cut.run()
        again = FakeTrainer([starter()])
        assert replace(cut, trainer=again).run() == whole.run()
        assert [call["images"] for call in again.calls] == [list(data.pool[:7])]
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
        with pytest.raises(SimulationError, match="another cadence"):
            replace(one, cadence=EACH_ROUND).run()
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
def opened(weights: Checkpoint) -> Detector:
    return Detector.load(weights, engine="torch")


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
        settings = replace(FILE_ORDER, rounds=(5,), gated=False)
        start, [result] = Replay(data, starter(), settings, tmp_path, FakeTrainer([ignorant()])).run()
        assert result.promoted and result.box_AP50 == 0 < start.box_AP50

    def test_its_calibration_comes_from_images_that_were_left_out(self, data: ReplayData, tmp_path: Path):
        settings = replace(FILE_ORDER, rounds=(5,), gated=False)
        replay = Replay(data, stranger(), settings, tmp_path, FakeTrainer([starter()]))
        [result] = replay.run()[1]
        images = data.of(data.pool[:5])
        left_out = dict(zip(map(str, data.pool[:5]), findings_of(detector(), images), strict=True))
        judged = judged_at_own_point(left_out, data.labels, settings.effort, settings.score_threshold)
        assert result.calibration == fit_calibration(judged.regions)
        assert (result.thresholds, result.remembered) == (judged.thresholds, judged.by_key)
        assert result.calibration.regions > 0 and replay.run()[1] == [result], "and is kept"


class TestServing:
    def test_a_version_looks_at_images_that_it_has_not_learnt_from(self, data: ReplayData):
        """Whatever it is shown: of the others it says what is remembered."""
        images, keys = data.of(data.pool[:3]), ("1", "2", "3")
        remembered = {"1": ImageOutcome(1, 0, 0, 0), "3": ImageOutcome(1, 1, 1, 0)}
        version = Serving(detector(), {}, remembered=remembered, learnt=frozenset(remembered))
        served = version.served(images, keys, keys, opened)
        assert list(served.findings) == ["2"] and served.remembered == remembered
        [expected] = findings_of(detector(), data.of(data.pool[1:2]))
        assert served.findings["2"].results == expected.results
        assert not version.served(images, keys, ("1", "3"), opened).findings, "it judges nothing else"
        assert version.is_version and not Serving(detector()).is_version

    def test_its_folds_look_at_them(self, data: ReplayData):
        """As the candidate's do: a fold has learnt less than what came of it."""
        images, keys = data.of(data.pool[:5]), ("1", "2", "3", "4", "5")
        folds = [LeftOut(weights, (), 1.0) for weights in (starter(), stranger())]
        version = Serving(detector(), {}, learnt=frozenset("1"), folds=folds)
        found = version.served(images, keys, keys, opened).findings
        assert [bool(found[key].results) for key in ("2", "3", "4", "5")] == [True, False, True, False]

    def test_start_weights_look_at_all(self, data: ReplayData):
        served = Serving(detector()).served(data.of(data.pool[:2]), ("1", "2"), ("1", "2"), opened)
        assert list(served.findings) == ["1", "2"] and served.thresholds is None and not served.remembered


class TestComparison:
    SETTINGS = SimulationSettings((3, 4), seeds=2)

    def test_random_beside_and_equal_first_rounds_once(self, data: ReplayData, tmp_path: Path):
        trainer = FakeTrainer([stranger()])
        few = replace(data, pool=data.pool[:4], figures=data.figures[:1])
        replay = Replay(few, stranger(), self.SETTINGS, tmp_path, trainer, cadence=EACH_ROUND)
        reports = OrderComparison(replay, ("entropy",)).run()
        assert list(reports) == ["random", "entropy"]
        assert [one["labels"] for one in reports["entropy"]["rounds"]] == [3, 4]
        assert len(reports["random"]["rounds"][0]["seeds"]) == 2
        # Strange weights: entropy begins as random does. Each of 2 seeds: 2 rounds of two orders, less one.
        assert len(trainer.calls) == 2 * 3 and not (tmp_path / "features").exists()
        assert (tmp_path / "entropy" / "seed1" / "labels3" / "result.json").exists()
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
