"""d2go's checkpoints: which of the six configurations it is, labels, and files that must not be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from reference import SHARED, needs_shared
from weights_samples import MASKS, PREDICTOR, small_state

from fbnetv3.weights import WeightsError
from fbnetv3.weights.d2go import COCO_LABELS, read_d2go

MANIFESTS = SHARED / "facts" / "manifests"
CONFIGS = [
    f"{family}_rcnn_{network}"
    for family in ("faster", "mask")
    for network in ("fbnetv3a_dsmask_C4", "fbnetv3a_C4", "fbnetv3g_fpn")
]


def _saved(tmp_path: Path, content: Any, **settings: Any) -> Path:
    path = tmp_path / "model.pth"
    torch.save(content, path, **settings)
    return path


@needs_shared
@pytest.mark.parametrize("config", CONFIGS)
def test_configuration_is_told_from_the_original_names_and_shapes(tmp_path: Path, config: str):
    manifest = json.loads((MANIFESTS / f"manifest_{config}.json").read_text())
    integers = manifest["dtypes"]
    state = {
        name: torch.zeros((), dtype=torch.int64 if name in integers else torch.float32).expand(shape)
        for name, shape in manifest["state_dict"]
    }
    checkpoint = read_d2go(_saved(tmp_path, {"model": state}))

    assert checkpoint.model == config
    assert checkpoint.state.keys() == state.keys()
    assert checkpoint.labels == COCO_LABELS
    assert checkpoint.parameter_count == manifest["total_params"]


@pytest.mark.parametrize(
    ("width", "masks", "model"),
    [
        (160, True, "mask_rcnn_fbnetv3a_dsmask_C4"),
        (200, False, "faster_rcnn_fbnetv3a_C4"),
        (288, True, "mask_rcnn_fbnetv3g_fpn"),
    ],
)
def test_configuration_is_told_from_a_few_shapes(tmp_path: Path, width: int, masks: bool, model: str):
    checkpoint = read_d2go(_saved(tmp_path, small_state(width=width, masks=masks)))
    assert checkpoint.model == model
    assert checkpoint.has_masks == masks
    assert checkpoint.labels == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("settings", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_all_wrappings_give_the_same_weights(tmp_path: Path, settings: dict[str, Any]):
    state = small_state(masks=True)
    lightning = {f"model.{name}": tensor for name, tensor in state.items()}
    distributed = {f"module.{name}": tensor for name, tensor in state.items()}
    contents = [
        state,
        {"model": state, "optimizer": {"state": {0: torch.zeros(3)}, "lr": [0.1]}, "iteration": 3},
        {"state_dict": lightning, "epoch": 2},
        {"model": distributed},
    ]
    digests = {read_d2go(_saved(tmp_path, content, **settings)).digest for content in contents}
    assert len(digests) == 1


def test_leftovers_of_old_files_are_dropped(tmp_path: Path):
    state = small_state()
    leftovers = {
        "pixel_mean": torch.zeros(3, 1, 1),
        "pixel_std": torch.ones(3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(15, 4),
    }
    assert read_d2go(_saved(tmp_path, {"model": state | leftovers})).state.keys() == state.keys()


def test_half_precision_becomes_float32(tmp_path: Path):
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in small_state().items()
    }
    dtypes = {tensor.dtype for tensor in read_d2go(_saved(tmp_path, state)).state.values()}
    assert dtypes == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"fc.weight": torch.zeros(10, 10)}, "holds no Faster R-CNN or Mask R-CNN"),
        (small_state(width=1024), "holds no Faster R-CNN or Mask R-CNN"),
        (small_state() | {"roi_heads.keypoint_head.x": torch.zeros(1)}, "keypoint network"),
        ([torch.zeros(3)], "holds no Faster R-CNN or Mask R-CNN"),
        ({1: torch.zeros(3)}, "holds no Faster R-CNN or Mask R-CNN"),
        ({f"{PREDICTOR}.cls_score.weight": torch.zeros(3)}, "holds no Faster R-CNN or Mask R-CNN"),
        (
            {f"{MASKS}.predictor.mask_fcn_logits.weight": torch.zeros(3)},
            "holds no Faster R-CNN or Mask R-CNN",
        ),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, content: Any, complaint: str):
    with pytest.raises(WeightsError, match=complaint):
        read_d2go(_saved(tmp_path, content))


class _MakesFolder:
    """Its unpickling makes a folder: what a hostile checkpoint could do with any command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path):
    proof = tmp_path / "ran"
    path = _saved(tmp_path, {"model": small_state(), "callback": _MakesFolder(proof)})
    with pytest.raises(WeightsError, match=r"asks for \w+\.mkdir and is not read"):
        read_d2go(path)
    assert not proof.exists()


@pytest.mark.parametrize("length", [0, 1, 100, 5000, -1])
@pytest.mark.parametrize("settings", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_cut_off_files_are_refused(tmp_path: Path, length: int, settings: dict[str, Any]):
    path = _saved(tmp_path, {"model": small_state()}, **settings)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match=r"model\.pth is damaged or is no PyTorch checkpoint"):
        read_d2go(path)


def test_text_is_refused(tmp_path: Path):
    path = tmp_path / "model.pth"
    path.write_text("<!DOCTYPE html><title>Not found</title>")
    with pytest.raises(WeightsError, match="no PyTorch checkpoint"):
        read_d2go(path)
