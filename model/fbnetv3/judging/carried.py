"""What weights carry of their scores, so that whoever loads the file serves them as they were judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fbnetv3.judging.calibration import IN_WEIGHTS as CALIBRATION
from fbnetv3.judging.calibration import Calibration
from fbnetv3.judging.operating_point import IN_WEIGHTS as THRESHOLDS

if TYPE_CHECKING:
    from fbnetv3.weights import Checkpoint


def carrying(checkpoint: Checkpoint, calibration: Calibration, thresholds: Mapping[str, float]) -> Checkpoint:
    """The checkpoint with these in its provenance: see `calibration_in` and `thresholds_in`; without thresholds it has
    no operating point.
    """
    carried = {CALIBRATION: json.dumps(calibration.as_dict())}
    if thresholds:
        carried[THRESHOLDS] = json.dumps(dict(thresholds))
    return replace(checkpoint, provenance=checkpoint.provenance | carried)
