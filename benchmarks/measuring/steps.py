"""The steps of one detection, each to be run alone, in PyTorch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from fbnetv3.engines.engine import Wanted
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.network.box_head import BoxOutputs, Candidates, choose_detections
from fbnetv3.network.mask_head import channel_of_class
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.rpn import flatten_maps

#: The steps by the names of the tables.
IMAGE, PROPOSALS, BOXES, MASKS = "trunk and RPN", "proposals", "box head and choice", "mask head"
BOX_HEAD = "box head alone"

Runs = Mapping[str, Callable[[], object]]


class TorchSteps:
    """A model's steps, in whatever memory format the model has; each works on what the steps before it gave."""

    @torch.no_grad()
    def __init__(self, model: RCNN, pixels: np.ndarray) -> None:
        self.model = model
        self._input = [torch.from_numpy(pixels)]
        self._sizes = [(pixels.shape[1], pixels.shape[2])]
        self.features, self._found = self.image()
        self.boxes = self.proposals()
        self._outputs = self.box_head()
        chosen = self.choice()
        self.detections, self.classes = chosen.boxes, chosen.classes

    @torch.no_grad()
    def image(self) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        """Trunk and RPN head."""
        features = self.model.backbone(self.model.normalise(self._input))
        rpn = self.model.proposal_generator
        return features, [rpn.rpn_head(features[level.name]) for level in rpn.levels]

    @torch.no_grad()
    def proposals(self) -> Tensor:
        """The boxes that reach the box head (r, 4)."""
        rpn = self.model.proposal_generator
        logits = [flatten_maps(score, 1)[..., 0] for score, _ in self._found]
        offsets = [flatten_maps(offset, 4) for _, offset in self._found]
        [proposals] = rpn._propose(rpn.anchors(self.features), logits, offsets, self._sizes)
        return proposals.boxes

    @torch.no_grad()
    def box_head(self) -> BoxOutputs:
        """RoIAlign, box head and predictor."""
        return self.model.box_outputs(self.features, [self.boxes])

    @torch.no_grad()
    def choice(self) -> Candidates:
        """The detections among what the box head says."""
        return choose_detections(self._outputs, self.boxes, self._sizes[0], self.model.config)

    def boxes_to_detections(self) -> None:
        """Box head and choice."""
        self.box_head()
        self.choice()

    @torch.no_grad()
    def mask_head(self) -> Tensor:
        """RoIAlign, mask head and the probabilities of every detection's class (n, s, s)."""
        logits = self.model.mask_logits(self.features, [self.detections])
        return channel_of_class(logits, self.classes).sigmoid()

    def runs(self) -> Runs:
        """The steps by their names."""
        return _runs(self)


class OnnxSteps:
    """The same of an OnnxEngine."""

    def __init__(self, engine: OnnxEngine, pixels: np.ndarray) -> None:
        self._engine, self._pixels = engine, pixels
        self._corner = np.array([pixels.shape[2], pixels.shape[1]] * 2, np.float32)
        everything = np.zeros(engine.config.num_classes, np.float32)
        self._wanted = Wanted(everything, everything)
        self._outputs = self.image()
        self._features = {name: self._outputs[name] for name in engine._feature_names}
        self._boxes = self.proposals()
        self.detections, _, self.classes = self.boxes_to_detections()

    def image(self) -> dict[str, np.ndarray]:
        """Trunk, RPN head, and all boxes decoded."""
        outputs = self._engine._image.run(None, {"image": self._pixels})
        return dict(zip(self._engine._outputs, outputs, strict=True))

    def proposals(self) -> np.ndarray:
        """The boxes that reach the box head (r, 4)."""
        return self._engine._propose(self._outputs, self._corner)

    def box_head(self) -> list[np.ndarray]:
        """RoIAlign, box head and predictor, boxes decoded."""
        return self._engine._boxes.run(None, {**self._features, "boxes": self._boxes})

    def boxes_to_detections(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Box head and choice."""
        return self._engine._choose(self._features, self._boxes, self._corner, self._wanted)

    def mask_head(self) -> np.ndarray:
        """RoIAlign, mask head and the probabilities of every detection's class (n, s, s)."""
        return self._engine._mask_probabilities(self._features, self.detections, self.classes)

    def runs(self) -> Runs:
        """The steps by their names."""
        return _runs(self)


def _runs(steps: TorchSteps | OnnxSteps) -> Runs:
    return {
        IMAGE: steps.image,
        PROPOSALS: steps.proposals,
        BOXES: steps.boxes_to_detections,
        MASKS: steps.mask_head,
        BOX_HEAD: steps.box_head,
    }
