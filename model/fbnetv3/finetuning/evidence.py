"""What the weights of each fold find in the images that they were kept from: how good those of all images are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector
from fbnetv3.finetuning.cross_fitting import LeftOut
from fbnetv3.judging import ImageFindings, findings_by_key
from fbnetv3.weights import Checkpoint


def left_out_findings(
    folds: Sequence[LeftOut],
    images: Examples,
    keys: Sequence[str],
    open_detector: Callable[[Checkpoint], Detector],
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, ImageFindings]:
    """Key -> findings, in the order of the images; `keys`: what each image is known by.

    `on_image` is called after each image. Raises what reading the images raises.
    """
    lookers = ((open_detector(fold.checkpoint), fold.places) for fold in folds)
    return findings_by_key(lookers, images, keys, on_image)
