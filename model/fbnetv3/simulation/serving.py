"""What pre-labels in a simulation: the start weights, a provisional version, or a promoted one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fbnetv3.data.examples import Examples
from fbnetv3.detector import Detector, Threshold
from fbnetv3.finetuning.cross_fitting import LeftOut
from fbnetv3.finetuning.start import Sources
from fbnetv3.folds import shared_out
from fbnetv3.judging import (
    IDENTITY,
    Calibration,
    Effort,
    ImageFindings,
    ImageOutcome,
    Served,
    findings_by_key,
    fit_calibration,
    judged_at_own_point,
)
from fbnetv3.provisional import (
    LabelledRegions,
    fit_head,
    head_thresholds,
    left_out_findings,
    left_out_heads,
    provisional_detector,
    regions_of_example,
    start_head,
)
from fbnetv3.simulation.replay_data import ImageId, ReplayData
from fbnetv3.weights import Checkpoint


@dataclass(frozen=True, eq=False)
class Serving:
    """`thresholds`: its operating point; the start weights have none. `remembered`: by image, see `Served`. `learnt`:
    the images that a training run learnt from, which makes it a version; `folds`: of that run. `left_out`, `is_new`: of
    a provisional version, what heads like its own found in each image that they had not seen, and see `Served`.
    """

    detector: Detector
    thresholds: Mapping[str, float] | None = None
    calibration: Calibration = IDENTITY
    remembered: Mapping[str, ImageOutcome] = field(default_factory=dict)
    learnt: frozenset[str] = frozenset()
    folds: Sequence[LeftOut] = ()
    left_out: Mapping[str, ImageFindings] | None = None
    is_new: bool = False

    @property
    def is_version(self) -> bool:
        """Whether a training run made it."""
        return bool(self.learnt)

    def knows_any(self, labels: Sequence[str]) -> bool:
        """Whether it can find anything that is asked for."""
        return not set(self.detector.labels).isdisjoint(labels)

    def shown_from(self, default: float) -> Threshold:
        """From which score on a person sees its regions."""
        return default if self.thresholds is None else self.thresholds

    def served(
        self,
        images: Examples,
        keys: Sequence[str],
        judged: Collection[str],
        open_detector: Callable[[Checkpoint], Detector],
    ) -> Served:
        """What a candidate is compared with on these images; `judged`: the keys of those that judge it."""
        if self.left_out is not None:
            return Served(self.left_out, is_new=self.is_new)
        new = [place for place, key in enumerate(keys) if key in judged and key not in self.learnt]
        shares = shared_out(new, keys, [()] * len(self.folds))
        lookers = [
            (open_detector(fold.checkpoint), places) for fold, places in zip(self.folds, shares, strict=True)
        ]
        found = findings_by_key(lookers or [(self.detector, new)], images, keys)
        return Served(found, self.remembered, self.thresholds)


class ProvisionalVersions:
    """Makes them of the images labelled so far; each image is described once."""

    def __init__(
        self, base: Detector, data: ReplayData, sources: Sources, effort: Effort, default: float
    ) -> None:
        self._base, self._data = base, data
        self._start = start_head(base, data.labels, sources)
        self._is_new = not any(sources.values())
        self._effort, self._default = effort, default
        self._regions: dict[ImageId, LabelledRegions] = {}

    def version(self, labelled: Sequence[ImageId]) -> Serving:
        """The version of these images, at least one."""
        regions = [self._regions_of(id_) for id_ in labelled]
        heads = left_out_heads(regions, self._start)
        left_out = left_out_findings(self._base, self._data.of(labelled), [*map(str, labelled)], heads)
        judged = judged_at_own_point(left_out, self._data.labels, self._effort, self._default)
        detector = provisional_detector(self._base, fit_head(regions, self._start), "provisional")
        config = self._base.engine.config
        return Serving(
            detector,
            head_thresholds(regions, heads, self._data.labels, config, self._effort, self._default),
            fit_calibration(judged.regions),
            left_out=left_out,
            is_new=self._is_new,
        )

    def _regions_of(self, id_: ImageId) -> LabelledRegions:
        if id_ not in self._regions:
            example = self._data.of([id_])[0]
            self._regions[id_] = regions_of_example(self._base, example, self._data.labels)
        return self._regions[id_]
