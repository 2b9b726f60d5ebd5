"""Which images are left out together when every image is to be judged by what has not learnt from it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence

FEWEST_IMAGES = 2
"""With fewer, nothing can be left out and learnt without."""

FEW_IMAGES = 30
"""Up to so many, FOLDS_OF_FEW folds, if there are as many images: each leaves two thirds to learn from; beyond, two
folds, for the time."""

FOLDS_OF_FEW, FOLDS = 3, 2

MANY_IMAGES, SHARE_OF_MANY = 100, 5
"""With more images one fold is enough to judge by: it leaves out every fifth."""


FOLD, FOLD_WEIGHTS = "fold", "weights.safetensors"
"""A training run has a folder for each fold, with a number behind, and its weights there."""


def folds_of(pictures: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """The places that each fold leaves out; `pictures`: what the image at each place shows.

    Pictures that follow each other go to different folds, and one that lies at several places to one.
    """
    order = {picture: number for number, picture in enumerate(dict.fromkeys(pictures))}
    count = len(order)
    if count < FEWEST_IMAGES:
        return ()
    if count > MANY_IMAGES:
        folds, left_out = SHARE_OF_MANY, range(1)
    else:
        folds = min(FOLDS_OF_FEW, count) if count <= FEW_IMAGES else FOLDS
        left_out = range(folds)
    return tuple(
        tuple(place for place, picture in enumerate(pictures) if order[picture] % folds == fold)
        for fold in left_out
    )


def shared_out(
    places: Iterable[int], pictures: Sequence[Hashable], left_out: Sequence[Collection[Hashable]]
) -> list[list[int]]:
    """For each fold the places of the images that it is to be shown, so that every image is shown to one.

    `left_out`: the pictures that each fold left out. It is shown those; pictures that no fold learnt from go to all
    folds in turn. Without folds there are no shares.
    """
    if not left_out:
        return []
    shares: list[list[int]] = [[] for _ in left_out]
    turn = 0
    for place in places:
        fold = next((i for i, own in enumerate(left_out) if pictures[place] in own), None)
        if fold is None:
            fold, turn = turn % len(left_out), turn + 1
        shares[fold].append(place)
    return shares
