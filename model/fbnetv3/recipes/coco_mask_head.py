"""The recipe of the mask head for box weights: trained on frozen features, one shape for all classes.

    python -m fbnetv3.recipes.coco_mask_head --weights d2go.pt --coco annotations.json images/ --out head.safetensors

A data set of a thousand objects has a dozen per class: too few for a mask of its own. So the head learns one
channel from all objects, and the file holds that channel once per class: the shapes that Mask R-CNN expects.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.data.coco import CocoExamples
from fbnetv3.data.coco_files import read_data_set
from fbnetv3.data.examples import Examples, JoinedExamples
from fbnetv3.factory import create_model
from fbnetv3.network.boxes import clip
from fbnetv3.network.mask_head import MaskHead, mask_loss
from fbnetv3.network.norms import freeze
from fbnetv3.network.pooler import pool_regions
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Target
from fbnetv3.training.loop import TrainingConfig, train
from fbnetv3.weights import Checkpoint, load_checkpoint, write_checkpoint
from fbnetv3.weights.checkpoint import MASK_HEAD

MODEL = "mask_rcnn_fbnetv3a_dsmask_C4"
RECIPE = TrainingConfig(
    steps=1800,
    batch_size=4,
    learning_rate=2e-3,
    warmup_steps=50,
    min_sizes=(224, 256, 288, 320, 384),
    max_size=576,
)
#: Objects per image and step; a mask costs as much as a ninth of the trunk.
REGIONS_PER_IMAGE = 8
#: Boxes are moved by up to this share of their size and resized by up to this factor's logarithm, as detections are.
SHIFT, LOG_SCALE = 0.1, 0.2


class MaskHeadTraining(nn.Module):
    """A frozen network with a new mask head of one channel; the forward pass gives its loss."""

    def __init__(self, base: RCNN) -> None:
        super().__init__()
        freeze(base)
        self.base = base
        config = base.config.model_copy(update={"num_classes": 1})
        self.mask_head = MaskHead(ARCHITECTURES[MODEL], base.backbone.channels, config)

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        base = self.base
        with torch.no_grad():
            features = base.backbone(base.normalise(images))
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        chosen = [random_masked(target, REGIONS_PER_IMAGE) for target in targets]
        boxes = [
            jitter(target.boxes[index], size)
            for target, index, size in zip(targets, chosen, sizes, strict=True)
        ]
        side = base.config.mask_pooler_resolution
        logits = self.mask_head(pool_regions(features, base.backbone.roi_levels, boxes, side))
        wanted = [
            target.masks.crop(box, index, logits.shape[-1])
            for target, box, index in zip(targets, boxes, chosen, strict=True)
            if target.masks is not None
        ]
        classes = torch.zeros(len(logits), dtype=torch.int64)
        return {"loss_mask": mask_loss(logits, classes, torch.cat(wanted))}


def random_masked(target: Target, count: int) -> Tensor:
    """Indices of at most `count` objects, drawn at random from those whose mask is known."""
    known = target.mask_known.nonzero().flatten()
    return known[torch.randperm(len(known))[:count]]


def jitter(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (n, 4) moved and resized at random, inside an image of `size` (height, width)."""
    extent = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + extent * (0.5 + SHIFT * (2 * torch.rand_like(extent) - 1))
    half = 0.5 * extent * torch.exp(LOG_SCALE * (2 * torch.rand_like(extent) - 1))
    return clip(torch.cat([centre - half, centre + half], 1), size)


def to_checkpoint(head: MaskHead, labels: tuple[str, ...], provenance: dict[str, str]) -> Checkpoint:
    """The trained head with its one channel once per label."""
    state = {f"{MASK_HEAD}{name}": tensor for name, tensor in head.state_dict().items()}
    for name in ("weight", "bias"):
        key = f"{MASK_HEAD}predictor.mask_fcn_logits.{name}"
        state[key] = state[key].repeat_interleave(len(labels), 0)
    return Checkpoint(state, MODEL, labels, provenance=provenance)


def main() -> None:
    """Train and write the mask head, in half precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="box weights: a zoo name or a file")
    parser.add_argument(
        "--coco", nargs=2, action="append", required=True, metavar=("ANNOTATIONS", "IMAGES"), type=Path
    )
    parser.add_argument("--split", default="train", help="images of this split are used")
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    read = [read_data_set(a, i, arguments.split) for a, i in arguments.coco]
    parts: list[Examples] = [CocoExamples(found.data, found.images) for found in read]
    recipe = replace(RECIPE, steps=arguments.steps)
    torch.manual_seed(recipe.seed)
    weights = load_checkpoint(arguments.weights)
    training = MaskHeadTraining(create_model(weights.model, weights))
    head = train(training, JoinedExamples(parts), recipe).mask_head
    provenance = {
        "source": "trained on the frozen COCO trunk by `python -m fbnetv3.recipes.coco_mask_head`",
        "data": ", ".join(annotations.parent.name for annotations, _ in arguments.coco),
        "steps": str(recipe.steps),
        "licence": "Apache-2.0",
    }
    write_checkpoint(to_checkpoint(head, weights.labels, provenance), arguments.out, dtype=torch.float16)


if __name__ == "__main__":
    main()
