"""Opens what `torch.save` wrote (.pth, .ckpt) without running code from it."""

from __future__ import annotations

import pickle
import re
import struct
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from fbnetv3.weights.checkpoint import WeightsError

# What torch.load was seen to raise for files that are cut off, altered or something else altogether.
_UNREADABLE = (
    pickle.UnpicklingError, struct.error, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError,
    AttributeError, AssertionError, MemoryError,
)  # fmt: skip
# What trainers' losses and scores are pickled with; NumPy 2 calls the folder `_core`.
_NUMPY = (
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{folder}.multiarray.{name}"
        for folder in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
)
# How a zip file and a pickle begin.
_BEGINNINGS = (b"PK", b"\x80")
# What PyTorch says of pickles from protocol 4 on; it writes protocol 2.
_FRAME = "Unsupported operand 149"
_DAMAGED = "is damaged or is no PyTorch checkpoint"
_REMEDY = (
    "If you trust it, save its tensors alone: python -c "
    """"import torch; c = torch.load('OLD.pth', weights_only=False); torch.save({'model': c['model']}, 'NEW.pth')\""""
)
# PyTorch's list of what is allowed belongs to the whole process.
_one_at_a_time = threading.Lock()


class NumpyValue:
    """Stands where a file holds a NumPy scalar or array; NumPy itself is not called for it."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def read_pickle(path: Path) -> Any:
    """What a PyTorch checkpoint holds: tensors, plain containers, and a NumpyValue for each NumPy object.

    Raises WeightsError for a file that cannot be read, and for one that holds anything else: unpickling that
    would run its code.
    """
    allowed: list[Any] = [(NumpyValue, name) for name in _NUMPY]
    try:
        with _one_at_a_time, safe_globals(allowed), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(f"{path} {_why_unreadable(error, path)}") from error


def _why_unreadable(error: Exception, path: Path) -> str:
    if not _may_be_pickled(path):  # any text could be taken for a pickle's instructions
        return _DAMAGED
    if forbidden := re.search(r"GLOBAL (\S+)", str(error)):
        return f"asks for {forbidden[1]} and is not read: it could run code, where only tensors are expected. {_REMEDY}"
    if _FRAME in str(error):
        return f"was pickled with a protocol that is not read. {_REMEDY}"
    return _DAMAGED


def _may_be_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2).startswith(_BEGINNINGS)
