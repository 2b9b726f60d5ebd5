"""Which weights the demo shows: the starter on generated scenes, the COCO weights on photos."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from fbnetv3.trial import try_out
from fbnetv3.weights import WeightsError
from fbnetv3.weights.folders import STARTER, find_weights
from fbnetv3.weights.store import pull
from fbnetv3.weights.zoo import ZOO
from prelabel.projects.loading import AUTO_WEIGHTS

COCO = "coco"


def demo_weights(chosen: str, *, own_images: bool, console: Console) -> str:
    """The weights to load, where `chosen` (the setting) leaves it open.

    The COCO weights are fetched when there are images of the user's own and the weights are not on this
    machine; that is said, tried once, and done without where there is no network.
    """
    if chosen != AUTO_WEIGHTS:
        return chosen
    if not own_images:
        return STARTER
    return COCO if find_weights(COCO) or _fetch_coco(console) else STARTER


def _fetch_coco(console: Console) -> bool:
    entry = ZOO[COCO]
    console.print(f"Fetching the COCO weights, {(entry.size or 0) / 1e6:.1f} MB, from {entry.url}")
    try:
        path = pull(COCO, try_out, attempts=1)
    except WeightsError as error:
        console.print(f"[yellow]They cannot be had now:[/yellow] {escape(str(error))}.")
        console.print(
            "Going on with the starter weights, which know only what is in the generated scenes. For photos "
            f"without a network, put {entry.published_file} where PRELABEL_WEIGHTS_DIR points to."
        )
        return False
    console.print(f"Stored {path}")
    return True
