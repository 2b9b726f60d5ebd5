"""What a prompt comes to before it is a mask of the image."""

from __future__ import annotations

from dataclasses import dataclass

from fbnetv3.arrays import Array


@dataclass(frozen=True, eq=False)
class Reading:
    """A mask (s, s), 0..1, inside `box` (4,), x0, y0, x1, y1 in pixels of the image, to be cut at `threshold`."""

    box: Array
    class_index: int
    probability: Array
    threshold: float

    @property
    def score(self) -> float:
        """How sure the network is of the pixels that it sets, 0..1; 0 where it sets none."""
        chosen = self.probability[self.probability >= self.threshold]
        return float(chosen.mean()) if len(chosen) else 0.0
