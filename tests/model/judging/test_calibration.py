"""Scores of made-up regions whose true probability is known, and how judge() tells which regions are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from judgement_samples import HERE, THERE, Examples, Scripted, example, found

from fbnetv3.judging import (
    IDENTITY,
    Calibration,
    Judgement,
    ScoredRegion,
    fit_calibration,
    judge,
)

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from measuring.reliability import calibration_error, reliability


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def regions_of(slope: float, offset: float, count: int, seed: int = 0) -> list[ScoredRegion]:
    """Kept with sigmoid(slope * logit(score) + offset)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, count)
    kept = random.random(count) < sigmoid(slope * logits + offset)
    return [ScoredRegion(float(s), bool(k)) for s, k in zip(sigmoid(logits), kept, strict=True)]


class TestFit:
    @pytest.mark.parametrize(("slope", "offset"), [(0.4, -0.5), (2.5, 1.0), (1.0, 0.0)])
    def test_finds_the_truth(self, slope: float, offset: float):
        fitted = fit_calibration(regions_of(slope, offset, 4000))
        assert (fitted.slope, fitted.offset) == pytest.approx((slope, offset), abs=0.2)
        assert fitted.regions == 4000

    def test_is_better_on_other_regions(self):
        fitted, others = fit_calibration(regions_of(0.4, -1.0, 300)), regions_of(0.4, -1.0, 3000, seed=1)
        before, after = (calibration_error(reliability(others, one)) for one in (IDENTITY, fitted))
        assert after < 0.05 < before / 3

    def test_none_change_nothing_and_few_change_little(self):
        assert fit_calibration([]) == IDENTITY
        one, few, many = (fit_calibration([ScoredRegion(0.9, False)] * n) for n in (1, 20, 2000))
        at = np.array([0.9])
        assert many(at) < few(at) < 0.4 < one(at) < IDENTITY(at)

    def test_the_prior_is_normal_around_the_identity(self):
        """0.5 wide for the slope, 1 for the offset: the most probable values of three regions, by search."""
        regions = [ScoredRegion(0.9, False), ScoredRegion(0.8, True), ScoredRegion(0.3, True)]
        logits, kept = np.log(np.array([9, 4, 3 / 7])), np.array([False, True, True])
        slope, offset = np.meshgrid(np.linspace(0, 2, 401), np.linspace(-2, 2, 801), indexing="ij")
        probabilities = sigmoid(slope[..., None] * logits + offset[..., None])
        likelihood = np.log(np.where(kept, probabilities, 1 - probabilities)).sum(-1)
        posterior = likelihood - (slope - 1) ** 2 / (2 * 0.5**2) - offset**2 / 2
        best = np.unravel_index(posterior.argmax(), posterior.shape)
        fitted = fit_calibration(regions)
        assert (fitted.slope, fitted.offset) == pytest.approx((slope[best], offset[best]), abs=0.006)

    @pytest.mark.parametrize("kept", [True, False])
    def test_all_alike_stays_finite(self, kept: bool):
        fitted = fit_calibration([ScoredRegion(score, kept) for score in (0.0, 0.5, 1.0)] * 200)
        assert np.isfinite([fitted.slope, fitted.offset]).all()

    def test_the_order_of_scores_never_changes(self):
        """Of regions that are kept the less, the surer the detector is."""
        fitted = fit_calibration(regions_of(-2.0, 0.0, 2000))
        assert (np.diff(fitted(np.linspace(0.01, 0.99, 50))) > 0).all()
        assert fitted.slope == 0.1, "the flattest"


class TestCalibration:
    def test_the_identity(self):
        scores = np.array([0.0, 0.3, 1.0], np.float32)
        assert IDENTITY(scores).tolist() == scores.tolist()

    def test_survives_json(self):
        fitted = fit_calibration(regions_of(0.5, 0.2, 200))
        assert Calibration.from_dict(json.loads(json.dumps(fitted.as_dict()))) == fitted


class TestReliability:
    def test_by_hand(self):
        table = reliability([ScoredRegion(0.05, False), ScoredRegion(0.85, True), ScoredRegion(0.83, False)])
        assert [(one.lower, one.regions, one.kept) for one in table] == [(0.0, 1, 0.0), (0.8, 2, 0.5)]
        assert calibration_error(table) == pytest.approx((0.05 + 2 * 0.34) / 3)

    def test_no_regions_and_the_last_bin(self):
        assert reliability([]) == [] and calibration_error([]) == 0
        assert reliability([ScoredRegion(1.0, True)])[0].upper == 1.0


class TestJudgedRegions:
    def judged(self, *regions: tuple[str, tuple[float, float, float, float], float]) -> list[ScoredRegion]:
        truth = Examples((example(("bolt", HERE), ("nut", THERE)),))
        return list(judge(Scripted([found(*regions)]), truth).regions)  # type: ignore[arg-type]

    def test_what_is_kept(self):
        """Two that fit, a duplicate that fits less, a wrong label, and one in the void."""
        regions = self.judged(
            ("bolt", HERE, 0.9),
            ("nut", THERE, 0.8),
            ("bolt", (10, 10, 50, 35), 0.7),
            ("bolt", THERE, 0.6),
            ("nut", (0, 60, 9, 90), 0.5),
        )
        assert regions == [(0.9, True), (0.8, True), (0.7, False), (0.6, False), (0.5, False)]

    def test_a_near_miss_gets_only_what_the_shown_ones_leave(self):
        """The near miss fits the bolt better, but a shown region has it; the nut is nobody else's."""
        regions = self.judged(("bolt", (10, 10, 50, 35), 0.7), ("bolt", HERE, 0.2), ("nut", THERE, 0.1))
        assert regions == [(0.7, True), (0.2, False), (0.1, True)]

    def test_old_records_stay_readable(self):
        truth = Examples((example(("bolt", HERE)),))
        judgement = judge(Scripted([found(("bolt", HERE, 0.9))]), truth)  # type: ignore[arg-type]
        record = json.loads(json.dumps(judgement.as_dict()))
        assert Judgement.from_dict(record) == judgement
        del record["regions"]
        assert Judgement.from_dict(record).regions == ()
