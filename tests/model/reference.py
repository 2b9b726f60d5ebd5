"""Where the original d2go's recorded outputs lie, and how a tensor is compared with one of them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason="the recorded outputs of the original d2go (../shared) are not on this machine",
)

#: Goal for every tensor: largest difference over the largest magnitude in the reference.
RELATIVE = 1e-4


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """The recorded tensors of one file, e.g. `mask_test2` or `coco/test1`."""
    with np.load(SHARED / "reference" / f"{name}.npz") as file:
        return dict(file)


@cache
def meta(name: str) -> dict[str, Any]:
    """What was recorded about the runs of `mask` or `faster`."""
    return json.loads((SHARED / "reference" / f"{name}_meta.json").read_text())


def difference(found: torch.Tensor | np.ndarray, reference: np.ndarray) -> float:
    """max |found - reference| / max |reference|: the maximum norm, relative to the whole tensor."""
    found = np.asarray(torch.as_tensor(found).detach(), dtype=np.float64)
    assert found.shape == reference.shape
    if found.size == 0:
        return 0.0
    return float(np.abs(found - reference).max() / max(np.abs(reference).max(), 1e-12))


def assert_close(found: torch.Tensor | np.ndarray, reference: np.ndarray, what: str) -> None:
    """Fail where the relative difference in the maximum norm exceeds 1e-4."""
    assert difference(found, reference) < RELATIVE, what
