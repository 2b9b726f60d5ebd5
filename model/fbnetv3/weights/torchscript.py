"""Reads the int8 TorchScript export of FBNetV3a-DSMask (`d2go.pt`) back into float weights.

A TorchScript archive is a zip of a pickle (the tree of modules), raw tensor storages and source code. Only
the first two are read, by an unpickler that knows nothing but tensors and inert modules: no code of the file
runs, and no quantisation engine is needed.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.d2go import checkpoint_from_state

# Of the network's batch norms; with the variance 1 - epsilon they divide by exactly 1.
_BATCH_NORM_EPSILON = 1e-5
_STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "QInt8Storage": torch.int8,
}
# What a damaged archive makes zipfile, pickle and torch raise.
_MALFORMED = (
    zipfile.BadZipFile, zlib.error, struct.error, pickle.UnpicklingError, RuntimeError, OSError, EOFError,
    ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class _QuantisedTensor:
    """An int8 tensor with one scale and zero point for each slice along `axis`."""

    values: Tensor
    scales: Tensor
    zero_points: Tensor
    axis: int

    def dequantise(self) -> Tensor:
        """The values as float32, by the formula of torch's own `dequantize`."""
        shape = [-1 if axis == self.axis else 1 for axis in range(self.values.ndim)]
        scales, zero_points = self.scales.float().view(shape), self.zero_points.float().view(shape)
        return (self.values.float() - zero_points) * scales


class _Module:
    """One module of the tree: a dictionary of members, or the packed state of a quantised layer."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _ArchiveUnpickler(pickle.Unpickler):
    """Builds the tree of modules out of _Module and tensors, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._root = _root(archive) or PurePosixPath()
        super().__init__(io.BytesIO(archive.read(str(self._root / "data.pkl"))))

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_qtensor"): _quantised_tensor,
            ("torch", "per_channel_affine"): "per_channel_affine",
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"the archive asks for {module}.{name}")
        return known[module, name]

    def persistent_load(self, reference: Any) -> Tensor:
        _, dtype, key, _, _ = reference
        content = self._archive.read(str(self._root / "data" / key))
        return torch.frombuffer(bytearray(content), dtype=dtype)


def is_torchscript(path: Path) -> bool:
    """Whether `path` is a TorchScript archive; unlike torch.save's zip files it holds `constants.pkl`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _root(archive) is not None
    except _MALFORMED:
        return False


def read_torchscript(path: Path) -> Checkpoint:
    """Dequantise the export at `path`. Raises WeightsError for any other file.

    Its batch norms are folded into the convolutions, so ours become the identity plus the folded bias.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _ArchiveUnpickler(archive).load()
        state = _float_state(root)
    except _MALFORMED as error:
        raise WeightsError(
            f"{path} is damaged or is no int8 TorchScript export that is understood here"
        ) from error
    return checkpoint_from_state(state, path)


def _root(archive: zipfile.ZipFile) -> PurePosixPath | None:
    """The folder inside the archive that everything lies in."""
    paths = map(PurePosixPath, archive.namelist())
    return next((path.parent for path in paths if path.name == "constants.pkl"), None)


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _quantised_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], quantiser: Any, *_: Any
) -> _QuantisedTensor:
    _, scales, zero_points, axis = quantiser
    return _QuantisedTensor(_tensor(storage, offset, size, stride), scales, zero_points, axis)


def _float_state(root: _Module) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, weight, bias in _quantised_layers(root):
        state |= _float_parameters(name, weight.dequantise(), bias)
    return state


def _quantised_layers(
    module: _Module, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, _QuantisedTensor, Tensor | None]]:
    """The name, weight and bias of every quantised convolution and linear layer below `module`."""
    if isinstance(module.state, tuple):
        index = next(i for i, value in enumerate(module.state) if isinstance(value, _QuantisedTensor))
        name = ".".join(part for part in path if part not in ("model", "_packed_params"))
        yield name, module.state[index], module.state[index + 1]
        return
    for name, member in (module.state or {}).items():
        if isinstance(member, _Module):
            yield from _quantised_layers(member, (*path, name))


def _float_parameters(name: str, weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    """d2go's parameters of one layer; the bias of a `conv` is that of the batch norm beside it."""
    parameters = {f"{name}.weight": weight}
    if bias is None:
        return parameters
    block, _, layer = name.rpartition(".")
    if layer != "conv":
        return parameters | {f"{name}.bias": bias}
    if not block.endswith(
        (".pw", ".dw", ".pwl")
    ):  # the stem, which has a bias of its own before the batch norm
        parameters[f"{name}.bias"] = torch.zeros_like(bias)
    return parameters | {
        f"{block}.bn.weight": torch.ones_like(bias),
        f"{block}.bn.bias": bias,
        f"{block}.bn.running_mean": torch.zeros_like(bias),
        f"{block}.bn.running_var": torch.full_like(bias, 1 - _BATCH_NORM_EPSILON),
        f"{block}.bn.num_batches_tracked": torch.tensor(1),
    }
