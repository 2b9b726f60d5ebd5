"""What provisional heads find in images that they were not fitted to: how good the head of all images is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.folds import in_turn
from fbnetv3.judging.findings import ImageFindings, findings_by_key
from fbnetv3.provisional.detector import provisional_detector
from fbnetv3.provisional.fitting import fit_head
from fbnetv3.provisional.head import RegionHead
from fbnetv3.provisional.regions import LabelledRegions

LeftOutHeads = Sequence[tuple[RegionHead, Sequence[int]]]
"""Heads, each with the places of the images that it was not fitted to."""


def left_out_heads(
    regions: Sequence[LabelledRegions], start: RegionHead, pictures: Sequence[Hashable] | None = None
) -> LeftOutHeads:
    """A head for each fold of the images with these regions; the folds are about as large as those of a training run on
    few images, and a single image is left out, too.

    `start`: see `fit_head`. `pictures`: what each image shows, where one picture may be there twice.
    """
    shown = range(len(regions)) if pictures is None else pictures
    heads = []
    for places in in_turn(shown) or [tuple(range(len(regions)))]:
        others = [one for place, one in enumerate(regions) if place not in places]
        heads.append((fit_head(others, start) if others else start, places))
    return heads


def left_out_findings(
    base: Detector,
    images: Examples,
    keys: Sequence[str],
    heads: LeftOutHeads,
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, ImageFindings]:
    """Key -> what a head finds in an image that it was not fitted to, in the order of the images.

    `keys`: what each image is known by; `heads`: see `left_out_heads`. Raises what reading the images raises.
    """
    lookers = ((provisional_detector(base, head, base.version), places) for head, places in heads)
    return findings_by_key(lookers, images, keys, on_image)
