"""Our own file format: safetensors, with labels, configuration and provenance in the header's metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Json, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fbnetv3.files import write_whole
from fbnetv3.weights.checkpoint import Checkpoint, WeightsError


class Header(BaseModel):
    """What a file says of its tensors: the fields of Checkpoint but for `state`.

    safetensors allows strings only, so all but the model's name is JSON.
    """

    model: str
    labels: Json[tuple[str, ...]]
    settings: Json[dict[str, Any]]
    provenance: Json[dict[str, str]]


def write_checkpoint(checkpoint: Checkpoint, path: Path, dtype: torch.dtype | None = None) -> None:
    """Write `checkpoint` to `path`, which at any time holds either the old file or the whole new one.

    `dtype` (such as torch.float16, half the size) is how floating point tensors are kept; they are float32
    again when read. Raises WeightsError when a value does not fit into `dtype` or the file cannot be written.
    """
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in checkpoint.state.items()}
    metadata = {
        "format": "pt",
        "model": checkpoint.model,
        "labels": json.dumps(checkpoint.labels, ensure_ascii=False),
        "settings": json.dumps(checkpoint.settings),
        "provenance": json.dumps(checkpoint.provenance, ensure_ascii=False),
    }
    write_atomically(path, save(tensors, metadata))


def read_safetensors(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote. Raises WeightsError for any other file."""
    with _opened(path) as (header, file):
        state = {name: _loaded(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return Checkpoint(state, header.model, header.labels, header.settings, header.provenance)


def read_header(path: Path) -> Header:
    """Read all but the tensors, at once however large the file is. Raises WeightsError likewise."""
    with _opened(path) as (header, _):
        return header


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Header, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            yield Header.model_validate(file.metadata() or {}), file
    except ValidationError as error:
        raise WeightsError(
            f"{path} does not say which model and labels it holds: prelabel did not write it"
        ) from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged or is no safetensors file") from error


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    # A copy, because safetensors refuses tensors that share memory.
    stored = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if dtype is None or not stored.is_floating_point():
        return stored
    stored = stored.to(dtype)
    if not stored.isfinite().all() and tensor.isfinite().all():
        raise WeightsError(f"{name} has values that do not fit into {dtype}")
    return stored


def _loaded(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def write_atomically(path: Path, content: bytes) -> None:
    """Make `content` the file's, which at any time holds either the old one or this. Raises WeightsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(content, path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror}") from error
