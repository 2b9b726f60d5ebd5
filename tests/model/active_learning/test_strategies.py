"""Orders of made-up pools, in which it is known what should come first, and a real look at a picture."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fbnetv3 import Detector
from fbnetv3.active_learning import (
    STRATEGIES,
    PoolImage,
    Ranking,
    pool_image,
    with_random_share,
)
from fbnetv3.active_learning.clustering import k_means
from fbnetv3.active_learning.combined import Combined
from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.ranking import shuffle
from fbnetv3.active_learning.representative import Representative
from fbnetv3.active_learning.uncertainty import Entropy, LeastConfidence, Margin, Uncertainty
from fbnetv3.instances import Instances
from fbnetv3.judging import Calibration, Effort
from fbnetv3.scenes import SCENE_LABELS, generate_scene

NONE_LABELLED = np.zeros((0, 0), np.float32)


def image(*class_scores: tuple[float, ...], pooled: tuple[float, ...] = (0.0,)) -> PoolImage:
    """With one instance of each distribution over two labels; scores are the larger ones, and as calibrated."""
    table = np.array(class_scores, np.float32).reshape(-1, 2)
    scores = table.max(1) if len(table) else np.zeros(0, np.float32)
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (len(table), 1))
    found = Instances((50, 50), boxes, scores, table.argmax(1), ("bolt", "nut"))
    return PoolImage(found, table, scores.copy(), np.array(pooled, np.float32))


SURE, EMPTY = image((0.98, 0.01)), image()
NEAR_MISS = image((0.25, 0.0), (0.3, 0.0))
UNSURE = image((0.4, 0.35), (0.5, 0.1))


def order(name: str, pool: list[PoolImage], labelled: np.ndarray = NONE_LABELLED, seed: int = 0) -> list[int]:
    return STRATEGIES[name].order(pool, labelled, seed).indices.tolist()


def spread_pool(count: int = 40) -> list[PoolImage]:
    random = np.random.default_rng(1)
    return [
        image(*random.dirichlet((1, 1, 1), 3)[:, :2].tolist(), pooled=tuple(random.normal(size=4)))
        for _ in range(count)
    ]


class TestEveryStrategy:
    @pytest.mark.parametrize("name", STRATEGIES)
    @pytest.mark.parametrize("labelled", [0, 3])
    def test_orders_the_whole_pool_the_same_way_each_time(self, name: str, labelled: int):
        pool = spread_pool()
        known = np.stack([one.pooled for one in pool[:labelled]]) if labelled else NONE_LABELLED
        ranking = STRATEGIES[name].order(pool, known, seed=5)
        again = STRATEGIES[name].order(pool, known, seed=5)
        assert sorted(ranking.indices.tolist()) == list(range(40)) and not ranking.at_random.any()
        assert (ranking.indices == again.indices).all() and (ranking.clusters == again.clusters).all()
        assert STRATEGIES[name].name == name and len(ranking.clusters) == 40

    @pytest.mark.parametrize("name", STRATEGIES)
    def test_an_empty_pool(self, name: str):
        assert len(STRATEGIES[name].order([], NONE_LABELLED, 0)) == 0


class TestUncertainty:
    @pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
    def test_unsure_then_near_misses_then_sure_then_nothing(self, name: str):
        assert order(name, [EMPTY, SURE, NEAR_MISS, UNSURE]) == [3, 2, 1, 0]

    @pytest.mark.parametrize(
        ("strategy", "expected"),
        [
            (LeastConfidence(), [0.5, 0.0]),
            (Margin(), [1 - (0.5 - 0.3), 0.0]),
            (Entropy(), [-sum(p * math.log(p) for p in (0.3, 0.2, 0.5)) / math.log(3), 0.0]),
        ],
    )
    def test_by_hand(self, strategy: Uncertainty, expected: list[float]):
        """With labels at 0.3 and 0.2 half is left for background."""
        found = strategy.of_instances(image((0.3, 0.2), (1.0, 0.0)).distributions)
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_the_five_most_uncertain_decide(self):
        """Many sure regions dilute nothing, a sixth unsure one adds nothing, and one alone is a fifth of five."""
        strategy, unsure, sure = LeastConfidence(), (0.5, 0.0), (1.0, 0.0)
        five = strategy.of_image(image(*[unsure] * 5))
        assert five == strategy.of_image(image(*[unsure] * 9, *[sure] * 9)) == pytest.approx(0.5)
        assert strategy.of_image(image(unsure)) == pytest.approx(five / 5)
        assert LeastConfidence(most=1).of_image(image(unsure)) == pytest.approx(0.5)

    def test_the_most_uncertain_choice_counts_where_regions_are_surer(self):
        unsure, sure = np.array([0.5, 0.3, 0.2]), np.array([0.9, 0.1])
        strategy = LeastConfidence()
        assert strategy.of_image(replace(EMPTY, choices=(sure, unsure))) == pytest.approx(0.5)
        assert strategy.of_image(replace(UNSURE, choices=(sure,))) == strategy.of_image(UNSURE) > 0.1

    def test_where_nothing_is_known_the_order_is_random(self):
        assert order("entropy", [EMPTY] * 9, seed=3) == order("random", [EMPTY] * 9, seed=3)
        assert order("random", [EMPTY] * 9, seed=3) != order("random", [EMPTY] * 9, seed=4)


class TestExpectedEdits:
    def test_by_hand(self):
        """A shown region at 0.75 and a near miss at 0.25: deleted, corrected, drawn."""
        effort = Effort(delete=100, correct_box=10, draw_box=1)
        strategy = ExpectedEdits(score_threshold=0.5, corrected=0.4, effort=effort)
        seconds = strategy.seconds(image((0.75, 0.0), (0.25, 0.0)))
        assert seconds == pytest.approx(0.25 * 100 + 0.75 * 0.4 * 10 + 0.25 * 1)

    def test_labels_may_have_thresholds_of_their_own(self):
        """Shown from 0.8 on: the region at 0.75 is one that has to be drawn."""
        region = image((0.75, 0.0))
        [label] = region.instances.labels
        effort = Effort(delete=100, correct_box=10, draw_box=1)
        strategy = ExpectedEdits(score_threshold=0.5, thresholds={label: 0.8}, effort=effort)
        assert strategy.seconds(region) == pytest.approx(0.75)

    def test_a_choice_is_clicked_where_its_suggestion_is_wrong_or_missing(self):
        choices = (np.array([0.8, 0.2]), np.array([0.4, 0.35, 0.25]))
        seconds = ExpectedEdits(effort=Effort(delete=10)).seconds(replace(EMPTY, choices=choices))
        assert seconds == pytest.approx((0.2 + 1) * 10)

    def test_the_calibrated_probability_counts_and_not_the_score(self):
        surely_wrong, right = image((0.9, 0.0)), image((0.9, 0.0))
        surely_wrong.kept[:], right.kept[:] = 0.0, 1.0
        assert order("expected_edits", [right, surely_wrong]) == [1, 0]


class TestDiversity:
    def test_farthest_from_what_is_labelled_and_chosen(self):
        pool = [image(pooled=(x,)) for x in (0.0, 1.0, 5.0, 11.0)]
        assert order("diversity", pool, np.array([[0.0]], np.float32)) == [3, 2, 1, 0]

    def test_duplicates_come_last(self):
        pool = [image(pooled=(x,)) for x in (0.0, 0.0, 0.0, 4.0, 8.0)]
        first = order("diversity", pool)[:3]
        assert {3, 4} < set(first)


class TestRepresentative:
    def test_the_middles_of_groups_come_before_odd_ones(self):
        pool = [image(pooled=(x,)) for x in (0.0, 1.0, 2.0, 3.0, 4.0, 20.0, 21.0, 500.0)]
        first = Representative(neighbours=1).order(pool, NONE_LABELLED, 0).indices
        assert first[0] == 2 and first[1] in (5, 6)

    def test_what_is_labelled_needs_nobody_to_stand_for_it(self):
        pool = [image(pooled=(x,)) for x in (0.0, 1.0, 2.0, 3.0, 4.0, 20.0, 21.0)]
        labelled = np.array([[2.0]], np.float32)
        assert Representative(neighbours=1).order(pool, labelled, 0).indices[0] in (5, 6)

    def test_the_places_behind_are_there_too(self):
        pool = [image(pooled=(float(x),)) for x in range(7)]
        ranking = Representative(places=2).order(pool, NONE_LABELLED, 0)
        assert sorted(ranking.indices) == list(range(7))


class TestRepresentativeEdits:
    def test_of_two_groups_the_one_with_much_to_edit_comes_first(self):
        right, wrong = (1.0, 0.0), (0.3, 0.0)
        larger = [image(right, pooled=(0.0, n / 10)) for n in range(6)]
        smaller = [image(wrong, wrong, pooled=(9.0, n / 10)) for n in range(4)]
        assert order("representative", [*larger, *smaller])[0] < 6
        assert order("representative_edits", [*larger, *smaller])[0] >= 6

    def test_where_nothing_is_expected_all_count_the_same(self):
        pool = [image(pooled=tuple(one.pooled)) for one in spread_pool()]
        assert order("representative_edits", pool) == order("representative", pool)


class TestCombined:
    POOL = (
        image((0.5, 0.3), pooled=(0.0,)),
        image((0.5, 0.2), pooled=(0.1,)),
        image((0.9, 0.0), pooled=(9.0,)),
        image((0.8, 0.0), pooled=(9.1,)),
    )

    def test_groups_take_turns_the_most_uncertain_first(self):
        ranking = Combined(groups=2).order(self.POOL, NONE_LABELLED, 0)
        assert ranking.indices.tolist() == [0, 3, 1, 2]
        assert ranking.clusters[0] == ranking.clusters[1] != ranking.clusters[2] == ranking.clusters[3]

    def test_a_group_that_is_labelled_has_had_its_turn(self):
        labelled = np.array([[0.05]], np.float32)
        assert Combined(groups=2).order(self.POOL, labelled, 0).indices.tolist() == [3, 0, 2, 1]


class TestKMeans:
    CLEAR = np.random.default_rng(0).normal(size=(300, 20)) + np.repeat(
        np.random.default_rng(1).normal(size=(30, 20)) * 10, 10, 0
    )

    @pytest.mark.parametrize("seed", range(10))
    def test_finds_what_is_apart(self, seed: int):
        groups = k_means(self.CLEAR, 30, seed).reshape(30, 10)
        assert (groups == groups[:, :1]).all() and sorted(groups[:, 0].tolist()) == [*range(30)]

    def test_the_same_seed_gives_the_same_groups_in_any_thread(self):
        vague = np.random.default_rng(2).normal(size=(200, 8))
        alone = [k_means(vague, 14, seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as threads:
            at_once = list(threads.map(lambda seed: k_means(vague, 14, seed), range(8)))
        np.testing.assert_array_equal(at_once, alone)
        assert any((one != alone[0]).any() for one in alone[1:])

    def test_a_seed_of_any_size(self):
        assert len(k_means(self.CLEAR, 3, 2**40)) == 300

    @pytest.mark.parametrize("count", [0, 1, 2, 10])
    def test_equal_rows_are_one_group(self, count: int):
        assert k_means(np.zeros((count, 2)), 5, 0).tolist() == [0] * count

    def test_no_more_groups_than_different_rows(self):
        groups = k_means(np.repeat(np.eye(3), 10, 0), 5, 0).reshape(3, 10)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0].tolist())) == 3


class TestRanking:
    def test_scores_follow_the_places(self):
        ranking = Ranking.of(np.array([2, 0, 1, 3]))
        np.testing.assert_allclose(ranking.scores, [0.25, 0.5, 0.0, 0.75])
        many = Ranking.of(shuffle(1000, 0))
        assert (
            np.argsort(many.scores) == many.indices
        ).all() and 0 <= many.scores.min() < many.scores.max() < 1

    def test_one_place_in_ten_is_drawn(self):
        ranking = Ranking.of(np.arange(50), np.arange(50) % 3)
        mixed = with_random_share(ranking, 0.1, seed=0)
        assert np.flatnonzero(mixed.at_random[mixed.indices]).tolist() == [5, 15, 25, 35, 45]
        assert sorted(mixed.indices) == list(range(50)) and (mixed.clusters == ranking.clusters).all()
        others = mixed.indices[~mixed.at_random[mixed.indices]]
        assert (np.diff(others) > 0).all(), "the others keep their order"
        again, other = with_random_share(ranking, 0.1, 0), with_random_share(ranking, 0.1, 1)
        assert (again.indices == mixed.indices).all() and (other.indices != mixed.indices).any()

    def test_none_and_all(self):
        ranking = Ranking.of(np.arange(20))
        assert (with_random_share(ranking, 0, 0).indices == ranking.indices).all()
        drawn = with_random_share(ranking, 1, 0)
        assert drawn.at_random.all() and (drawn.indices == shuffle(20, 0)).all()
        with pytest.raises(ValueError, match=r"1\.5"):
            with_random_share(ranking, 1.5, 0)


@cache
def starter() -> Detector:
    return Detector.load("starter", engine="torch", threads=1)


class TestLook:
    PICTURE = generate_scene(3, (192, 256)).image

    def test_what_the_box_head_says_of_what_is_found(self):
        seen = pool_image(starter(), self.PICTURE)
        [plain] = starter().predict([self.PICTURE])
        assert len(seen.instances) == len(plain) > 0
        np.testing.assert_allclose(seen.instances.boxes, plain.boxes, atol=1e-3)
        np.testing.assert_allclose(seen.distributions.sum(1), 1, atol=1e-5)
        best = plain.scores > 0.8
        assert best.any() and (seen.class_scores.argmax(1) == plain.classes)[best].all()
        assert seen.kept.tolist() == seen.instances.scores.tolist()
        assert seen.pooled.ndim == 1 and np.isfinite(seen.pooled).all()

    def test_other_labels_are_background(self):
        label = starter().predict([self.PICTURE])[0].labels[0]
        seen = pool_image(starter(), self.PICTURE, [label, "no label of the network"])
        assert set(seen.instances.labels) == {label} and seen.distributions.shape[1] == 2
        nothing = pool_image(starter(), self.PICTURE, ())
        assert len(nothing.instances) == 0 and nothing.distributions.shape == (0, 1)
        assert len(pool_image(starter(), self.PICTURE, SCENE_LABELS).instances) > len(seen.instances)

    def test_calibration(self):
        seen = pool_image(starter(), self.PICTURE, calibration=Calibration(offset=-2.0))
        assert (seen.kept < seen.instances.scores).all()


def test_groups_of_values_that_are_no_numbers():
    broken = np.array([[np.nan, 1.0], [1e30, -np.inf], [0.0, 1.0], [5.0, 5.0]])
    assert len(k_means(broken, 3, seed=0)) == 4
    assert k_means(np.full((4, 2), np.nan), 3, seed=0).tolist() == [0, 0, 0, 0]
