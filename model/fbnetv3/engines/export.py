"""From a model to the ONNX graphs that OnnxEngine runs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import nn
from torch.export import Dim

from fbnetv3.engines.folding import folded
from fbnetv3.engines.graphs import BoxGraph, ImageGraph, MaskGraph
from fbnetv3.engines.onnx_engine import CLASS_SCORES, SCORED, VECTORS
from fbnetv3.network.rcnn import RCNN

#: What the exporter follows through the model; any size is as good.
EXAMPLE_SIZE = (224, 256)
EXAMPLE_BOXES = ((8.0, 8.0, 80.0, 96.0), (40.0, 16.0, 200.0, 220.0), (0.0, 0.0, 250.0, 220.0))

#: A float operator set that ONNX Runtime 1.17 and later know.
OPSET = 18


def export(model: RCNN, folder: Path) -> None:
    """Write `image.onnx`, `boxes.onnx`, `nms.onnx`, the class scores' layer and, with a mask head, `masks.onnx`.

    The folder must be there.
    """
    model = folded(model)
    image = ImageGraph(model)
    example = torch.zeros(3, *EXAMPLE_SIZE)
    names = [level.name for level in model.backbone.roi_levels]
    with torch.no_grad():
        features = list(image(example)[: len(names)])
    boxes = torch.tensor(EXAMPLE_BOXES)
    any_size: dict[int, Any] = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    any_count = {0: Dim.DYNAMIC}
    shapes: tuple[Any, ...] = ([any_size] * len(names), any_count)
    found = [
        f"{kind} {level.name}" for level in model.proposal_generator.levels for kind in ("boxes", "logits")
    ]
    export_graph(
        image,
        (example,),
        ["image"],
        [*names, *found],
        ({1: Dim.DYNAMIC, 2: Dim.DYNAMIC},),
        folder / "image.onnx",
    )
    export_graph(
        BoxGraph(model),
        (features, boxes),
        [*names, "boxes"],
        [*SCORED, VECTORS],
        shapes,
        folder / "boxes.onnx",
    )
    if model.has_masks:
        export_graph(
            MaskGraph(model),
            (features, boxes, torch.zeros(len(boxes), dtype=torch.int64)),
            [*names, "boxes", "classes"],
            ["probabilities"],
            (*shapes, any_count),
            folder / "masks.onnx",
        )
    onnx.save(nms_graph(), folder / "nms.onnx")
    layer = model.roi_heads.box_predictor.cls_score
    save_file({"weight": layer.weight.T.contiguous(), "bias": layer.bias}, folder / CLASS_SCORES)


def export_graph(
    module: nn.Module,
    example: tuple[Any, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[Any, ...],
    path: Path,
) -> None:
    """Write one graph: the module followed over `example`, with `shapes` saying which dimensions may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path)


def nms_graph() -> onnx.ModelProto:
    """Non-maximum suppression: boxes (n, 4), scores (n,), IoU limit (1,), count (1,) -> kept indices, best first.

    It stops when it has `count`, which most other implementations cannot.
    """
    nodes = [
        helper.make_node("Unsqueeze", ["boxes", "first"], ["image boxes"]),
        helper.make_node("Unsqueeze", ["scores", "first two"], ["image scores"]),
        helper.make_node(
            "NonMaxSuppression", ["image boxes", "image scores", "count", "limit"], ["selected"]
        ),
        helper.make_node("Gather", ["selected", "last column"], ["kept"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "nms",
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("limit", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, ["k"])],
        [
            helper.make_tensor("first", TensorProto.INT64, [1], [0]),
            helper.make_tensor("first two", TensorProto.INT64, [2], [0, 1]),
            helper.make_tensor("last column", TensorProto.INT64, [], [2]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
