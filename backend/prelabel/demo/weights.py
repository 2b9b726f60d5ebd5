"""Which weights the demo shows: the starter on generated scenes, the COCO weights on photos.

Those in the user's store are read there; what has to be fetched goes into the demo's own.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from fbnetv3.trial import try_out
from fbnetv3.weights import WeightsError, default_folder
from fbnetv3.weights.folders import STARTER, SUFFIX, find_weights, is_path, provisioned
from fbnetv3.weights.store import pull
from fbnetv3.weights.zoo import ZOO
from prelabel.versions.loading import AUTO_WEIGHTS

COCO = "coco"


def demo_weights(chosen: str, *, own_images: bool, models: Path, console: Console) -> str:
    """The weights to load, where `chosen` (the setting) leaves it open. `models`: the demo's own store.

    The COCO weights are fetched when there are images of the user's own and the weights are not on this
    machine; that is said, tried once, and done without where there is no network.
    """
    if chosen != AUTO_WEIGHTS:
        return chosen
    if not own_images:
        return STARTER
    is_here = find_weights(COCO, [default_folder(), models])
    return COCO if is_here or _fetch_coco(models, console) else STARTER


def readable_weights(name: str) -> str:
    """The same weights for a process that has the demo's store: those in the user's store are named by their file,
    which has the same version.
    """
    file = default_folder().absolute() / f"{name}{SUFFIX}"
    is_only_there = name != STARTER and not is_path(name) and not provisioned(name) and file.is_file()
    return str(file) if is_only_there else name


def _fetch_coco(models: Path, console: Console) -> bool:
    entry = ZOO[COCO]
    console.print(f"Fetching the COCO weights, {(entry.size or 0) / 1e6:.1f} MB, from {entry.url}")
    try:
        path = pull(COCO, try_out, models, attempts=1)
    except WeightsError as error:
        console.print(f"[yellow]They cannot be had now:[/yellow] {escape(str(error))}.")
        console.print(
            "Going on with the starter weights, which know only what is in the generated scenes. For photos "
            f"without a network, put {entry.published_file} where PRELABEL_WEIGHTS_DIR points to."
        )
        return False
    console.print(f"Stored {path}")
    return True
