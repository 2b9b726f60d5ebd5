"""What a larger input and more proposals cost, beside another network's ONNX file at its own input size.

The whole of it, from a picture to 20 pasted masks. Of the other file only the network runs: its resizing, its choice of
detections and its masks would come on top.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fbnetv3.engines.onnx_engine import open_session
from measuring.rounds import alternate
from measuring.sheets import Sheet
from measuring.subject import MASK_COUNT, subject

#: As fine-tuning chooses them: (shorter side, longer side, proposals).
INPUTS = ((320, 480, 100), (480, 720, 100), (720, 1080, 100), (720, 1080, 300))


def measure(file: Path | None, weights: str, image: np.ndarray, threads: int | None, rounds: int) -> Sheet:
    """One row per input; the other file last, where there is one."""
    runs = {
        f"{small}/{large}, {count}": _ours(weights, image, threads, small, large, count)
        for small, large, count in INPUTS
    }
    first = next(iter(runs))
    if file:
        runs[file.stem] = _other(file, threads)
    timed = alternate(runs, rounds)
    sheet = Sheet(
        f"Input sizes and proposals, {MASK_COUNT} masks: {Path(weights).stem}",
        ("input", "ms", f"over {first}", *([f"over {file.stem}"] if file else [])),
    )
    for name in runs:
        over = [timed.ratio(name, file.stem)] if file else []
        sheet.add(name, timed.median(name), timed.ratio(name, first), *over)
    return sheet


def _ours(
    weights: str, image: np.ndarray, threads: int | None, small: int, large: int, proposals: int
) -> Callable[[], Any]:
    size = {
        "min_size": small,
        "max_size": large,
        "pre_nms_proposals_test": 10 * proposals,
        "post_nms_proposals_test": proposals,
    }
    detector = subject(f"{small}/{large}", size, weights, image, threads).onnx_detector()
    return lambda: detector.predict([image])


def _other(file: Path, threads: int | None) -> Callable[[], Any]:
    session = open_session(file, threads)
    entry = session.get_inputs()[0]
    pixels = np.random.default_rng(0).random(entry.shape, np.float32)
    return lambda: session.run(None, {entry.name: pixels})
