"""Every part of a detection and the whole: the original's way, our PyTorch engine, ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from fbnetv3.detector import Detector
from fbnetv3.engines.onnx_engine import OnnxEngine
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.images import to_network
from fbnetv3.network.rcnn import RCNN
from fbnetv3.pasting import paste_mask
from measuring.bound import Machine
from measuring.limits import bound_sheet
from measuring.original import original_detector, paste
from measuring.rounds import Rounds, alternate
from measuring.sheets import Sheet
from measuring.steps import OnnxSteps, Runs, TorchSteps
from measuring.subject import MASK_COUNT, ONNX, ORIGINAL, TORCH, Subject


def measure(subject: Subject, machine: Machine, rounds: int) -> Iterator[Sheet]:
    """The table of the parts, and that of what the machine allows."""
    channels_last = copy.deepcopy(subject.model).to(memory_format=torch.channels_last)
    detector = subject.onnx_detector()
    assert isinstance(detector.engine, OnnxEngine)
    original = TorchSteps(subject.model, subject.pixels)
    steps: dict[str, TorchSteps | OnnxSteps] = {
        ORIGINAL: original,
        TORCH: TorchSteps(channels_last, subject.pixels),
        ONNX: OnnxSteps(detector.engine, subject.pixels),
    }
    _check_counts(steps)
    by_part: dict[str, Runs] = {
        "resizing": dict.fromkeys(steps, lambda: to_network(subject.image, subject.size)),
        **{name: {one: steps[one].runs()[name] for one in steps} for name in original.runs()},
        f"pasting {MASK_COUNT} masks": _pasting(original, subject),
        f"Mask R-CNN, {MASK_COUNT} masks": _whole(subject, channels_last, detector, masks=True),
        "Faster R-CNN": _whole(subject, channels_last, detector, masks=False),
    }
    timed = {name: alternate(runs, rounds) for name, runs in by_part.items()}
    yield _parts_sheet(f"{subject.name}, {len(original.boxes)} proposals", timed)
    yield bound_sheet(subject, original, machine, timed)


def _parts_sheet(name: str, timed: Mapping[str, Rounds]) -> Sheet:
    sheet = Sheet(
        f"Parts: {name}",
        (
            "part",
            "original, ms",
            "torch, ms",
            "onnxruntime, ms",
            "original / onnxruntime",
            "torch / onnxruntime",
        ),
    )
    for part, one in timed.items():
        medians = (one.median(ORIGINAL), one.median(TORCH), one.median(ONNX))
        sheet.add(part, *medians, one.ratio(ORIGINAL, ONNX), one.ratio(TORCH, ONNX))
    return sheet


def _pasting(steps: TorchSteps, subject: Subject) -> Runs:
    height, width = subject.image.shape[:2]
    scale = np.array([width / subject.size[1], height / subject.size[0]] * 2, np.float32)
    probabilities, boxes = steps.mask_head(), steps.detections * torch.from_numpy(scale)
    pairs = list(zip(probabilities.numpy(), boxes.numpy(), strict=True))

    def ours() -> object:
        return [paste_mask(probability, box, (height, width), 0.5) for probability, box in pairs]

    return {ORIGINAL: lambda: paste(probabilities, boxes, (height, width)), TORCH: ours, ONNX: ours}


def _whole(subject: Subject, channels_last: RCNN, onnx: Detector, masks: bool) -> Runs:
    original = original_detector(subject.model, masks)
    ours = Detector(TorchEngine(channels_last, threads=subject.threads), subject.labels, "benchmark")
    least = 0.0 if masks else np.inf
    return {
        ORIGINAL: lambda: original(subject.image),
        TORCH: lambda: ours.predict([subject.image], 0.0, least),
        ONNX: lambda: onnx.predict([subject.image], 0.0, least),
    }


def _check_counts(variants: Mapping[str, TorchSteps | OnnxSteps]) -> None:
    for name, steps in variants.items():
        if len(steps.detections) != MASK_COUNT:
            raise SystemExit(
                f"{name} gives {len(steps.detections)} detections in this picture, not {MASK_COUNT}"
            )
