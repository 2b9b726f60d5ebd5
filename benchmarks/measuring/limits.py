"""The parts of a network beside the bound that the machine sets them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fbnetv3.engines.folding import folded
from fbnetv3.engines.graphs import BoxGraph, ImageGraph, MaskGraph
from measuring.bound import Machine, Work, work
from measuring.rounds import Rounds
from measuring.sheets import Sheet
from measuring.steps import BOX_HEAD, IMAGE, MASKS, TorchSteps
from measuring.subject import ONNX, ORIGINAL, Subject


def bound_sheet(subject: Subject, steps: TorchSteps, machine: Machine, timed: Mapping[str, Rounds]) -> Sheet:
    """One row per part that is mostly arithmetic; `timed`: the parts by the names of the steps."""
    sheet = Sheet(
        f"What the machine allows: {subject.name}",
        ("part", "M multiply-adds", "MB", "bound, ms", "measured, ms", "share of the bound"),
    )
    graphs = graph_work(subject, steps)
    rows = [(f"{name}, onnxruntime", graphs[name], timed[name].median(ONNX)) for name in graphs]
    mask_head = subject.model.roi_heads.mask_head
    assert mask_head is not None
    everything = work(mask_head, _mask_regions(steps))
    rows.append((f"{MASKS} of all classes, the original's way", everything, timed[MASKS].median(ORIGINAL)))
    for name, done, measured in rows:
        bound = machine.milliseconds(done)
        sheet.add(
            name, done.multiply_adds / 1e6, done.bytes / 1e6, bound, measured, f"{bound / measured:.0%}"
        )
    return sheet


def graph_work(subject: Subject, steps: TorchSteps) -> dict[str, Work]:
    """The work of every exported graph on what the steps gave it."""
    model = folded(subject.model)
    features = [steps.features[level.name] for level in model.backbone.roi_levels]
    return {
        IMAGE: work(ImageGraph(model), torch.from_numpy(subject.pixels)),
        BOX_HEAD: work(BoxGraph(model), features, steps.boxes),
        MASKS: work(MaskGraph(model), features, steps.detections, steps.classes),
    }


@torch.no_grad()
def _mask_regions(steps: TorchSteps) -> torch.Tensor:
    return steps.model.pool_for_masks(steps.features, [steps.detections])
