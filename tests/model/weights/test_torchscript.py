"""The int8 TorchScript export: the published file, and small archives written here."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from reference import SHARED, needs_shared
from torch import Tensor

from fbnetv3.weights import Checkpoint, WeightsError
from fbnetv3.weights.d2go import read_d2go
from fbnetv3.weights.torchscript import is_torchscript, read_torchscript

WEIGHTS = SHARED / "weights"
SCALES = torch.tensor([0.1, 0.3], dtype=torch.float64)


@needs_shared
def test_published_export_equals_the_dequantised_reference():
    read = read_torchscript(WEIGHTS / "d2go.pt")
    reference = read_d2go(WEIGHTS / "faster_rcnn_fbnetv3a_dsmask_C4_coco_dequantized.pth")

    assert read.model == reference.model == "faster_rcnn_fbnetv3a_dsmask_C4"
    assert read.labels == reference.labels
    assert read.state.keys() == reference.state.keys()
    for name, tensor in reference.state.items():
        assert read.state[name].dtype == tensor.dtype, name
        assert torch.equal(read.state[name], tensor), name


@needs_shared
def test_cut_off_export_is_refused(tmp_path: Path):
    cut = tmp_path / "d2go.pt"
    cut.write_bytes((WEIGHTS / "d2go.pt").read_bytes()[:-200_000])
    with pytest.raises(WeightsError, match="damaged"):
        read_torchscript(cut)


class _Storage:
    """Raw values that the archive keeps beside the pickle."""

    def __init__(self, values: Tensor) -> None:
        self.values = values


class _Pickled:
    """A tensor as TorchScript pickles it; with `scales`, quantised per channel along its first axis."""

    def __init__(self, values: Tensor, scales: Tensor | None = None) -> None:
        self.values, self.scales = values.contiguous(), scales

    def __reduce__(self) -> tuple[Any, ...]:
        layout = (_Storage(self.values), 0, tuple(self.values.shape), self.values.stride())
        if self.scales is None:
            return torch._utils._rebuild_tensor_v2, (*layout, False, OrderedDict())
        zero_points = torch.arange(len(self.scales))
        quantiser = (torch.per_channel_affine, _Pickled(self.scales), _Pickled(zero_points), 0)
        return torch._utils._rebuild_qtensor, (*layout, quantiser, False, OrderedDict())


class _ArchivePickler(pickle.Pickler):
    storages: dict[str, bytes]

    def persistent_id(self, item: Any) -> Any:
        if not isinstance(item, _Storage):
            return None
        key = str(len(self.storages))
        self.storages[key] = item.values.numpy().tobytes()
        kind = {
            torch.int8: torch.QInt8Storage,
            torch.float32: torch.FloatStorage,
            torch.float64: torch.DoubleStorage,
            torch.int64: torch.LongStorage,
        }[item.values.dtype]
        return "storage", kind, key, "cpu", item.values.numel()


@pytest.fixture
def module_class(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class that every module of an archive has here, where TorchScript would generate one for each."""

    class Module:
        def __init__(self, state: Any) -> None:
            self.state = state

        def __getstate__(self) -> Any:
            return self.state

        def __setstate__(self, state: Any) -> None:
            raise AssertionError("never read by the code under test")

    Module.__module__, Module.__qualname__ = "__torch__", "Module"
    namespace = ModuleType("__torch__")
    namespace.Module = Module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__torch__", namespace)
    return Module


def _archive(path: Path, tree: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("export/data.pkl", "w") as file:
            pickler = _ArchivePickler(file, protocol=2)
            pickler.storages = {}
            pickler.dump(tree)
        archive.writestr("export/constants.pkl", b"")
        archive.writestr("export/code/__torch__.py", "import os; os.abort()")
        for key, content in pickler.storages.items():
            archive.writestr(f"export/data/{key}", content)
    return path


def _nest(module_class: type, layers: dict[str, Any]) -> Any:
    """Modules by dotted names as a tree."""
    tree: dict[str, Any] = {}
    for name, layer in layers.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = layer

    def build(branch: Any) -> Any:
        if not isinstance(branch, dict):
            return branch
        return module_class({"training": False} | {name: build(child) for name, child in branch.items()})

    return build(tree)


def _layers(module_class: type) -> dict[str, Any]:
    """The layers that the reader has to tell apart, as the quantised modules' states."""

    def layer(*shape: int, bias: bool = True) -> Any:
        values = torch.arange(torch.Size(shape).numel()).remainder(200).sub(100).to(torch.int8).view(shape)
        offset = _Pickled(torch.arange(shape[0]).float()) if bias else None
        scales = SCALES.repeat(shape[0])[: shape[0]]
        return module_class((3, 8, "zeros", _Pickled(values, scales), offset, 0.5, 3, False))

    trunk = "model.model.backbone.body.trunk0"
    return {
        f"{trunk}.fbnetv2_0_0.conv": layer(16, 3, 3, 3),
        f"{trunk}.fbnetv2_0_1.dw.conv": layer(16, 1, 3, 3, bias=False),
        f"{trunk}.fbnetv2_0_1.pwl.conv": layer(16, 16, 1, 1),
        "model.model.roi_heads.box_predictor.cls_score._packed_params": layer(3, 160),
    }


def _read(tmp_path: Path, module_class: type) -> Checkpoint:
    return read_torchscript(_archive(tmp_path / "export.pt", _nest(module_class, _layers(module_class))))


def test_layers_get_d2gos_names(tmp_path: Path, module_class: type):
    stem, block = "backbone.body.trunk0.fbnetv2_0_0", "backbone.body.trunk0.fbnetv2_0_1"
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {
        f"{stem}.conv.weight",
        f"{stem}.conv.bias",
        *(f"{stem}.bn.{part}" for part in norm),
        f"{block}.dw.conv.weight",
        f"{block}.pwl.conv.weight",
        *(f"{block}.pwl.bn.{part}" for part in norm),
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.box_predictor.cls_score.bias",
    }
    checkpoint = _read(tmp_path, module_class)
    assert checkpoint.state.keys() == expected
    assert checkpoint.labels == ("class 0", "class 1")


def test_values_are_scaled_per_channel(tmp_path: Path, module_class: type):
    weight = _read(tmp_path, module_class).state["backbone.body.trunk0.fbnetv2_0_0.conv.weight"]
    whole = torch.arange(16 * 27).remainder(200).sub(100).view(16, 3, 3, 3)
    # Channel k has the zero point k, and the scales 0.1 and 0.3 take turns.
    assert weight[0, 0, 0, 0] == pytest.approx(0.1 * (whole[0, 0, 0, 0] - 0))
    assert weight[3, 2, 1, 0] == pytest.approx(0.3 * (whole[3, 2, 1, 0] - 3))


def test_batch_norm_only_adds_the_folded_bias(tmp_path: Path, module_class: type):
    state = _read(tmp_path, module_class).state
    norm = torch.nn.BatchNorm2d(16).eval()
    prefix = "backbone.body.trunk0.fbnetv2_0_1.pwl.bn."
    norm.load_state_dict(
        {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    )
    features = torch.randn(1, 16, 2, 2)
    torch.testing.assert_close(norm(features), features + torch.arange(16.0).view(16, 1, 1))


def test_archives_are_told_from_checkpoints(tmp_path: Path, module_class: type):
    torch.save({"model": {}}, tmp_path / "model.pth")
    (tmp_path / "text.pt").write_text("no zip")
    assert is_torchscript(_archive(tmp_path / "export.pt", None))
    assert not is_torchscript(tmp_path / "model.pth")
    assert not is_torchscript(tmp_path / "text.pt")


class _MakesFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_an_archive_does_not_run(tmp_path: Path, module_class: type):
    proof = tmp_path / "ran"
    tree = _nest(module_class, _layers(module_class) | {"model.hook": _MakesFolder(proof)})
    with pytest.raises(WeightsError, match="no int8 TorchScript export"):
        read_torchscript(_archive(tmp_path / "export.pt", tree))
    assert not proof.exists()


@pytest.mark.parametrize("tree", [None, {}, 7])
def test_archives_without_modules_are_refused(tmp_path: Path, tree: Any):
    with pytest.raises(WeightsError, match="no int8 TorchScript export"):
        read_torchscript(_archive(tmp_path / "export.pt", tree))


def test_archive_without_class_scores_is_refused(tmp_path: Path, module_class: type):
    layers = _layers(module_class)
    layers.pop("model.model.roi_heads.box_predictor.cls_score._packed_params")
    with pytest.raises(WeightsError, match=r"export\.pt lacks roi_heads\.box_predictor\.cls_score\.weight"):
        read_torchscript(_archive(tmp_path / "export.pt", _nest(module_class, layers)))
