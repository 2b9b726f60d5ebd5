"""Seconds of a person: what labelling an image takes with pre-labels and without.

Sources: extreme clicking, 7 s per box (Papadopoulos et al. 2017, arXiv 1708.02750), where ImageNet's careful protocol
took 25.5 s for drawing alone (Su et al. 2012); outlines of COCO, 22 worker hours per 1,000 (Lin et al. 2014,
arXiv 1405.0312); a yes or no to a box, 1.6 s (Papadopoulos et al. 2016, arXiv 1602.08405); the keystroke-level model
(Card, Moran and Newell 1980): thinking 1.35 s, pointing 1.1 s, a click or key 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fbnetv3.judging.outcomes import ImageOutcome


@dataclass(frozen=True)
class Effort:
    """Seconds per action, for one object. The defaults rather understate than overstate what prelabel saves on boxes.

    `check`: seeing that a region is right: 1.6 s, rounded up for regions that overlap. `correct_box`: thinking,
    selecting, dragging one corner. `draw_box`: the fastest published way. `correct_mask`: half of drawing it, our
    assumption. `draw_mask`: as COCO's workers did. `delete`: thinking, selecting, one key.
    """

    check: float = 2.0
    correct_box: float = 5.0
    draw_box: float = 7.0
    correct_mask: float = 40.0
    draw_mask: float = 79.2
    delete: float = 3.0


def seconds_with(outcomes: Iterable[ImageOutcome], effort: Effort = Effort()) -> float:
    """Labelling these images, starting from their pre-labels."""
    return sum(
        one.no_edit * effort.check
        + (one.outlined_found - one.outlined_no_edit) * effort.correct_mask
        + (one.found - one.no_edit - one.outlined_found + one.outlined_no_edit) * effort.correct_box
        + (one.outlined - one.outlined_found) * effort.draw_mask
        + (one.objects - one.found - one.outlined + one.outlined_found) * effort.draw_box
        + one.false_positives * effort.delete
        for one in outcomes
    )


def seconds_without(outcomes: Iterable[ImageOutcome], effort: Effort = Effort()) -> float:
    """Labelling these images from nothing: every object is drawn."""
    return sum(
        one.outlined * effort.draw_mask + (one.objects - one.outlined) * effort.draw_box for one in outcomes
    )
