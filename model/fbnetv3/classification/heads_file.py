"""The file of a version's linear heads: safetensors, with what each head chooses in the header's metadata.

Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Json, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fbnetv3.classification.linear_head import POOLING, LinearHead
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.files import write_whole
from fbnetv3.weights import WeightsError


class _Heads(BaseModel):
    """What a file says of its tensors, `0.weight`, `0.bias`, `1.weight` and so on, and how features were pooled."""

    specs: tuple[HeadSpec, ...]
    pooling: str


class _Header(BaseModel):
    """safetensors writes several strings in any order; one keeps the bytes the same."""

    heads: Json[_Heads]


def write_heads(heads: Sequence[LinearHead], path: Path) -> None:
    """Write `heads` to `path`, which at any time holds either the old file or the whole new one.

    The same heads give the same bytes. Raises WeightsError when the file cannot be written.
    """
    tensors = {}
    for index, head in enumerate(heads):
        tensors[f"{index}.weight"] = np.ascontiguousarray(head.weight, np.float32)
        tensors[f"{index}.bias"] = np.ascontiguousarray(head.bias, np.float32)
    described = _Heads(specs=tuple(head.spec for head in heads), pooling=POOLING)
    header = _Header.model_construct(heads=described)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(save(tensors, header.model_dump(round_trip=True)), path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror}") from error


def read_heads(path: Path) -> tuple[LinearHead, ...]:
    """Read what `write_heads` wrote. Raises WeightsError for any other file."""
    try:
        with safe_open(path, framework="np") as file:
            described = _Header.model_validate(file.metadata() or {}).heads
            heads = tuple(
                LinearHead(spec, file.get_tensor(f"{index}.weight"), file.get_tensor(f"{index}.bias"))
                for index, spec in enumerate(described.specs)
            )
    except ValidationError as error:
        raise WeightsError(f"{path} does not say what its heads choose: prelabel did not write it") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged or is no safetensors file") from error
    if described.pooling != POOLING:
        raise WeightsError(
            f"{path} was made for features that are pooled otherwise ({described.pooling!r}): train again"
        )
    for head in heads:
        _check_shapes(head, path)
    return heads


def _check_shapes(head: LinearHead, path: Path) -> None:
    count = len(head.spec.classes)
    fits = head.weight.ndim == 2 and len(head.weight) == count and head.bias.shape == (count,)
    if not fits or not np.isfinite(head.weight).all() or not np.isfinite(head.bias).all():
        raise WeightsError(f"{path} is damaged: the numbers of {head.spec.name!r} do not fit its classes")
