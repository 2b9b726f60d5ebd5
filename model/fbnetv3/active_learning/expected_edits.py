"""Images first whose pre-labels a person is expected to edit longest.

An image's expected seconds, from the calibrated probability p that each region is kept: a region that is shown is
deleted with 1 - p, and corrected with p times the share of kept regions that are not good enough as they are; a
region below the threshold, which nobody is shown, is an object that has to be drawn, with p. Seconds per action are
those of boxes in fbnetv3.judging.Effort. Objects that the network does not suspect at all cannot be expected. A choice
of the whole image takes a click where its suggestion is wrong or where none is made; a click takes as long as deleting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.ranking import Ranking, by_urgency
from fbnetv3.arrays import Array
from fbnetv3.classification.suggestions import SUGGESTION_THRESHOLD
from fbnetv3.judging.effort import Effort
from fbnetv3.judging.judgement import SCORE_THRESHOLD

#: Of the regions that are kept, those that have to be corrected: about half in docs/learning.md's curves.
CORRECTED = 0.5


@dataclass(frozen=True)
class ExpectedEdits:
    """`score_threshold`: from which score on a region is shown, `thresholds`: that of labels with another one.
    `corrected`: share, 0..1, of the kept regions.
    """

    score_threshold: float = SCORE_THRESHOLD
    thresholds: Mapping[str, float] = field(default_factory=dict)
    corrected: float = CORRECTED
    effort: Effort = field(default_factory=Effort)

    name = "expected_edits"
    compares_with_labelled = False

    def seconds(self, image: PoolImage) -> float:
        """Expected seconds for editing the image; looking at what is right is not counted."""
        labels = image.instances.labels
        least = np.array([self.thresholds.get(label, self.score_threshold) for label in labels], np.float32)
        shown = image.instances.scores >= least
        kept = image.kept[shown].sum()
        deleted = shown.sum() - kept
        drawn = image.kept[~shown].sum()
        effort = self.effort
        return float(
            (deleted + _clicks(image)) * effort.delete
            + kept * self.corrected * effort.correct_box
            + drawn * effort.draw_box
        )

    def order(self, pool: Sequence[PoolImage], labelled: Array, seed: int) -> Ranking:
        """See Strategy."""
        return by_urgency(np.array([self.seconds(image) for image in pool]), seed)


def _clicks(image: PoolImage) -> float:
    """Expected ones, for the choices of the whole image."""
    best = (float(choice.max()) for choice in image.choices)
    return sum(1 - p if p >= SUGGESTION_THRESHOLD else 1.0 for p in best)
