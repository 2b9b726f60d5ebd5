"""The share of resamples that gain: what decides on choices."""

from __future__ import annotations

import numpy as np
import pytest

from fbnetv3.judging.bootstrap import bootstrap_share


def test_is_the_share_of_better_resamples() -> None:
    """Of two images, one gaining 1 and one losing 2: only resamples with the first twice, a quarter, gain."""
    assert bootstrap_share(np.array([1.0, -2.0])) == pytest.approx(0.25, abs=0.03)
    assert bootstrap_share(np.ones(9)) == 1 and bootstrap_share(np.zeros(9)) == 0


def test_says_the_same_every_time() -> None:
    gains = np.random.default_rng(0).normal(0.2, 1, 12)
    assert bootstrap_share(gains) == bootstrap_share(gains)


def test_chance_passes_as_rarely_as_the_level_says() -> None:
    """Gains without a true difference pass in about a quarter of all cases (a little more: n is small)."""
    rng = np.random.default_rng(1)
    passed = np.mean([bootstrap_share(rng.normal(0, 1, 15)) >= 0.75 for _ in range(300)])
    assert passed == pytest.approx(0.25, abs=0.05)
