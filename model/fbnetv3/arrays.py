"""The type of numpy arrays: docstrings say their shapes, units and dtypes, which types cannot."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
