"""Which images are left out together when every image is to be judged by what has not learnt from it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Sequence

FEW_IMAGES, FOLDS = 30, 3
"""Up to so many images are left out in turn, in so many folds, if there are as many images: all of them judge."""

SHARE, MANY_IMAGES, SHARE_OF_MANY = 3, 100, 5
"""Of more images one fold leaves out a third, and of more than MANY_IMAGES a fifth, for the time: that is enough to
judge by. They are the same in every run, the fifth a part of the third, so that two runs can be compared by all."""

ALL = 2**64
"""One more than the highest number that a picture may have."""


FOLD, FOLD_WEIGHTS = "fold", "weights.safetensors"
"""A training run has a folder for each fold, with a number behind, and its weights there."""


def folds_of(pictures: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """The places that each fold leaves out; `pictures`: what the image at each place shows. One picture alone is in
    none.

    Of few pictures, those that follow each other go to different folds; one that lies at several places goes to one.
    """
    count = len(set(pictures))
    if count <= FEW_IMAGES:
        return in_turn(pictures)
    share = SHARE if count <= MANY_IMAGES else SHARE_OF_MANY
    return (tuple(place for place, picture in enumerate(pictures) if _number(picture) < ALL // share),)


def in_turn(pictures: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """As `folds_of`, every picture in one of FOLDS folds however many there are."""
    order = {picture: number for number, picture in enumerate(dict.fromkeys(pictures))}
    folds = min(FOLDS, len(order))
    if folds < 2:
        return ()
    return tuple(
        tuple(place for place, picture in enumerate(pictures) if order[picture] % folds == fold)
        for fold in range(folds)
    )


def shared_out(
    places: Iterable[int],
    pictures: Sequence[Hashable],
    left_out: Sequence[Collection[Hashable]],
    learnt: Collection[Hashable] = (),
) -> list[list[int]]:
    """For each fold the places of the images that it is to be shown; every image is shown to one.

    `learnt`: the pictures that the folds were made of; `left_out`: those that each left out, which it is shown. The
    others go to nobody, and pictures that are new to all go to the folds in turn. Without folds there are no shares.
    """
    if not left_out:
        return []
    shares: list[list[int]] = [[] for _ in left_out]
    turn = 0
    for place in places:
        fold = next((i for i, own in enumerate(left_out) if pictures[place] in own), None)
        if fold is None and pictures[place] in learnt:
            continue
        if fold is None:
            fold, turn = turn % len(left_out), turn + 1
        shares[fold].append(place)
    return shares


def _number(picture: Hashable) -> int:
    return int.from_bytes(hashlib.sha256(str(picture).encode()).digest()[:8])
