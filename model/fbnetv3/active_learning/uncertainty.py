"""Uncertain images first: how unsure the box head is of each instance, and of the image.

Least confidence is Lewis and Gale's (1994), margin Scheffer et al.'s (2001), entropy Shannon's; Settles (2009, Active
Learning Literature Survey, section 3.1) compares them. Each is taken of the distribution over the labels and
background. So a near miss, about as likely an object as not, counts most, although nobody is shown it, and a region
that is background at 95 % hardly counts.

The image's uncertainty is the mean of its five most uncertain instances; those that it has not count as 0. The sum,
which Brust et al. (2018, arXiv 1809.09875) found best per image, prefers images with many objects whatever the network
knows of them, and these take a person longest; the mean of all is diluted by the certain ones; the maximum hangs on a
single region. An image in which the network finds nothing is certain: uncertainty cannot see what was overlooked
altogether, the random share and diversity can. Where a project has choices of the whole image, the most uncertain one
counts if it is more so than the regions: each is one question that a person answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking, by_urgency
from fbnetv3.arrays import Array

#: Instances that an image's uncertainty is the mean of.
MOST_UNCERTAIN = 5
#: Keeps the logarithm of 0 finite.
TINY = 1e-12


@dataclass(frozen=True)
class Uncertainty(ABC):
    """What the strategies of this file share. `most`: instances that decide; 1 is the maximum over the image."""

    most: int = MOST_UNCERTAIN

    compares_with_labelled = False

    @abstractmethod
    def of_instances(self, distributions: Array) -> Array:
        """(n, classes + 1), rows that sum to 1 -> (n,) uncertainty, 0..1."""

    def of_image(self, image: PoolImage) -> float:
        """0..1; 0 where nothing is found, and nothing is asked of the whole image."""
        choices = (float(self.of_instances(choice[None])[0]) for choice in image.choices)
        return max(self._of_regions(image), *choices, 0.0)

    def _of_regions(self, image: PoolImage) -> float:
        if not len(image.instances):
            return 0.0
        uncertainty = np.sort(self.of_instances(image.distributions))[::-1]
        return float(uncertainty[: self.most].sum() / self.most)

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy."""
        return by_urgency(np.array([self.of_image(image) for image in pool]), seed)


@dataclass(frozen=True)
class LeastConfidence(Uncertainty):
    """How far the likeliest class is from certain."""

    name = "least_confidence"

    def of_instances(self, distributions: Array) -> Array:
        """See Uncertainty."""
        uncertainty: Array = 1 - distributions.max(1)
        return uncertainty


@dataclass(frozen=True)
class Margin(Uncertainty):
    """How close the second likeliest class comes to the likeliest."""

    name = "margin"

    def of_instances(self, distributions: Array) -> Array:
        """See Uncertainty."""
        second, first = np.sort(distributions, 1)[:, -2:].T
        uncertainty: Array = 1 - (first - second)
        return uncertainty


@dataclass(frozen=True)
class Entropy(Uncertainty):
    """The entropy of the classes, as a share of the largest that there can be."""

    name = "entropy"

    def of_instances(self, distributions: Array) -> Array:
        """See Uncertainty."""
        entropy = -(distributions * np.log(distributions + TINY)).sum(1)
        uncertainty: Array = (entropy / np.log(distributions.shape[1])).clip(0, 1)
        return uncertainty
