"""What a provisional version is made from, and the fit: the one place through which labels become a head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from fbnetv3.detector import Detector
from fbnetv3.judging import Effort
from fbnetv3.provisional import (
    LabelledRegions,
    RegionHead,
    fit_head,
    head_thresholds,
    left_out_heads,
    start_head,
)


@dataclass(frozen=True, eq=False)
class Lesson:
    """`labels`: of the project, in the order of its config. `sources`: project label -> the labels of the base weights
    that it is the name for, which may be none. `base`: their version. `keys`: of the images, see `KeptRegions.key`.
    `effort`, `threshold`: what the operating point is chosen by.
    """

    labels: tuple[str, ...]
    sources: Mapping[str, Sequence[str]]
    base: str
    keys: tuple[str, ...]
    effort: Effort
    threshold: float

    @property
    def digest(self) -> str:
        """What the fit depends on, in 64 hex digits, whatever the order of the images."""
        content = [
            self.labels,
            self.sources,
            self.base,
            sorted(self.keys),
            asdict(self.effort),
            self.threshold,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def fit(
        self, detector: Detector, regions: Sequence[LabelledRegions], pictures: Sequence[str]
    ) -> RegionHead:
        """The head for the labels: what the base weights' detector knows of them, and the regions of its images.

        `pictures`: the SHA-256 of each image.
        """
        start = start_head(detector, self.labels, self.sources)
        heads, config = left_out_heads(regions, start, pictures), detector.engine.config
        thresholds = head_thresholds(regions, heads, self.labels, config, self.effort, self.threshold)
        return replace(fit_head(regions, start), thresholds=thresholds)
