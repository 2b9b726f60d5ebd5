"""Detectors that run as the settings say, for whatever serves, is judged or is inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fbnetv3.detector import Detector
from fbnetv3.weights import Checkpoint
from prelabel.settings import Settings


def open_detector(
    settings: Settings, weights: str | Path | Checkpoint, version: str | None = None, **network: Any
) -> Detector:
    """A detector with these weights; `version`, `network` and errors as in Detector.load."""
    return Detector.load(
        weights,
        version=version,
        engine=settings.prelabel_engine,
        device=settings.device,
        threads=settings.inference_threads,
        max_pixels=settings.prelabel_max_image_pixels,
        refined_edges=settings.prelabel_refined_edges,
        **network,
    )


def with_project_labels(detector: Detector, sources: Mapping[str, Sequence[str]]) -> Detector:
    """The detector with the project's names of its labels. `sources`: project label -> the detector's labels for it."""
    shown = {label: project_label for project_label, labels in sources.items() for label in labels}
    return detector.with_labels([shown.get(label, label) for label in detector.labels])
