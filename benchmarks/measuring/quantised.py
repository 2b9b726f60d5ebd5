"""Exported graphs with int8 convolutions, and what they are calibrated on."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from fbnetv3.detector import Detector
from fbnetv3.images import ImageSource

PARTS = ("image", "boxes", "masks")
#: Images whose activations are in memory at a time while ranges are sought.
STRIDE = 1

Inputs = dict[str, np.ndarray]
#: Part -> what it was given, image by image.
Recording = Mapping[str, list[Inputs]]


@dataclass(frozen=True)
class Variant:
    """How convolutions are quantised: weights to int8 for each channel, activations to uint8.

    `parts`: the graphs that are replaced. `method` finds the ranges of the activations; None is dynamic
    quantisation. `depthwise`: these, too; `ends`: the first and the last two (the RPN predicts with two), too.
    """

    parts: tuple[str, ...] = PARTS
    method: CalibrationMethod | None = CalibrationMethod.MinMax
    depthwise: bool = True
    ends: bool = True


class Reader(CalibrationDataReader):
    """Gives recorded inputs, `STRIDE` at a time."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self._inputs = inputs
        self._rest = iter(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these."""
        self._rest = iter(self._inputs[start_index:end_index])

    def get_next(self) -> Inputs | None:
        """The next inputs; None after the last."""
        return next(self._rest, None)


class RecordedSession:
    """A session that keeps what it was given, of `boxes` and `classes` the first `regions`."""

    def __init__(self, session: Any, regions: int | None) -> None:
        self._session = session
        self._regions = regions
        self.inputs: list[Inputs] = []

    def run(self, outputs: Sequence[str] | None, inputs: Inputs) -> Any:
        """As the session's."""
        cut: Inputs = {name: inputs[name][: self._regions] for name in ("boxes", "classes") if name in inputs}
        self.inputs.append({**inputs, **cut})
        return self._session.run(outputs, inputs)


def record(
    detector: Detector, images: Sequence[ImageSource], score_threshold: float, regions: int | None = None
) -> Recording:
    """What the graphs are given for these images, with at most so many boxes each. Slows this detector down."""
    engine: Any = detector.engine
    sessions = {part: RecordedSession(getattr(engine, f"_{part}"), regions) for part in PARTS}
    for part, session in sessions.items():
        setattr(engine, f"_{part}", session)
    for image in images:
        detector.predict([image], score_threshold)
    return {part: session.inputs for part, session in sessions.items()}


def chosen_convolutions(graph: onnx.GraphProto, variant: Variant) -> list[str]:
    """The names of the convolutions that this variant quantises."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    inner = convolutions if variant.ends else convolutions[1:-2]
    return [node.name for node in inner if variant.depthwise or not _is_grouped(node)]


def _is_grouped(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


def quantise(source: Path, target: Path, variant: Variant, inputs: Sequence[Inputs]) -> None:
    """Write one graph, quantised; `inputs` calibrate it."""
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    options: dict[str, Any] = {
        "op_types_to_quantize": ["Conv"],
        "nodes_to_quantize": chosen_convolutions(onnx.load(prepared).graph, variant),
        "weight_type": QuantType.QInt8,
        "per_channel": True,
    }
    if variant.method is None:
        quantize_dynamic(prepared, target, **options)
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            quantize_static(
                prepared,
                target,
                Reader(inputs),
                activation_type=QuantType.QUInt8,
                calibrate_method=variant.method,
                extra_options={"CalibStridedMinMax": STRIDE},
                **options,
            )
    prepared.unlink()


def replaced(folder: Path, target: Path, variant: Variant, calibration: Recording) -> Path:
    """A copy of the exported graphs in which those of the variant are quantised."""
    shutil.copytree(folder, target)
    for part in variant.parts:
        quantise(folder / f"{part}.onnx", target / f"{part}.onnx", variant, calibration[part])
    return target
