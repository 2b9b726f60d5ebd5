"""Whether weights can serve: the network is built from them, every tensor in its place, and looks at one picture."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fbnetv3.config import ConfigError
from fbnetv3.factory import create_model
from fbnetv3.images import to_network
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import Checkpoint, WeightsError

#: Height and width of the picture, the least that a scene can have: a few hundredths of a second.
SIZE = (128, 128)


def try_out(checkpoint: Checkpoint) -> None:
    """Build the network of `checkpoint` and run it once.

    Raises WeightsError when tensors are missing or do not fit, a setting is wrong, or an output is not finite.
    """
    try:
        model = create_model(checkpoint.model, checkpoint).eval()
    except ConfigError as error:
        raise WeightsError(f"no network can be built from these weights: {error}") from error
    image = torch.from_numpy(to_network(generate_scene(0, SIZE).image, SIZE))
    with torch.inference_mode():
        for part, output in _outputs(model, image):
            if not output.isfinite().all():
                raise WeightsError(
                    f"the network of these weights gives no finite numbers: its {part} overflows"
                )


def _outputs(model: RCNN, image: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What each part computes, raw: later steps drop what is not finite."""
    features = model.backbone(model.normalise([image]))
    yield from (("backbone", feature) for feature in features.values())
    rpn = model.proposal_generator
    for level in rpn.levels:
        yield from (("RPN", output) for output in rpn.rpn_head(features[level.name]))
    proposals, _ = rpn(features, [SIZE])
    boxes = [proposals[0].boxes]
    yield from (("box head", output) for output in model.box_outputs(features, boxes))
    if model.has_masks:
        yield "mask head", model.mask_logits(features, boxes)
    [found] = model.detect(features, proposals, [SIZE])
    yield "list of detections", found.boxes
