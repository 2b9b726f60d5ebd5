"""The parts of the campaign, and how many trials each has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from measuring.faults import http_requests, kills, trials
from measuring.faults.annotations import Annotations
from measuring.faults.checkpoints import Checkpoints
from measuring.faults.coco_files import CocoFiles
from measuring.faults.configs import Configs
from measuring.faults.images import Images
from measuring.faults.outages import AnnotateOutages, RunOutages
from measuring.faults.trials import Outcome, Subject

#: A folder to work in, the seed, the numbers of the trials.
Attempt = Callable[[Path, int, Sequence[int]], Iterator[Outcome]]


@dataclass(frozen=True)
class Part:
    """`small`, `full`: how many trials without more said, and of the whole campaign."""

    attempt: Attempt
    small: int
    full: int


def _of(subject: type[Subject], small: int, full: int) -> Part:
    return Part(partial(trials.attempt, subject), small, full)


PARTS = {
    "images": _of(Images, 2000, 60_000),
    "coco": _of(CocoFiles, 200, 10_000),
    "configs": _of(Configs, 60, 5000),
    "annotations": _of(Annotations, 2000, 20_000),
    "checkpoints": _of(Checkpoints, 20, 1000),
    "requests": Part(http_requests.attempt, 500, 14_000),
    "annotate-outages": _of(AnnotateOutages, 20, 400),
    "run-outages": _of(RunOutages, 6, 1200),
    "kills": Part(kills.attempt, 1, 36),
}
