"""Small data sets for tests: four scenes as COCO data, and a set of one example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fbnetv3.data.coco import to_coco
from fbnetv3.data.examples import Example, SceneExamples


@cache
def scenes() -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    return to_coco(SceneExamples(0, 4, (128, 160)), range(4))


@dataclass(frozen=True)
class OneExample:
    example: Example
    labels: tuple[str, ...] = SceneExamples(0, 1).labels

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Example:
        return self.example
