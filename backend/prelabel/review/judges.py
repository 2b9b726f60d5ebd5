"""Who judges which image: always a model that has not trained on it.

A project's serving version judges the images labelled since it was made; the weights of its training run's folds judge
those that each was kept from, of many images a part, and cross-fitted heads what is left. Before the first version the
base weights judge every image, as far as they know the labels.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuningSettings, Progress
from fbnetv3.review import OutOfFold, held_out, out_of_fold
from fbnetv3.weights import Checkpoint
from prelabel.review.findings import ReviewError
from prelabel.review.subjects import Subjects
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import serving_version
from prelabel.versions.detectors import open_detector, with_project_labels
from prelabel.versions.learnt import folds_of_version, learnt_from
from prelabel.versions.loading import base_checkpoint, load_detector
from prelabel.versions.records import load_version

Sources = Mapping[str, Sequence[str]]
OnStep = Callable[[str, int, int], None]
"""Hears what is done now, how far it is, and of how much."""

FOLDS = 3
"""As many models as the images are divided among; each learns from the other two thirds."""


@dataclass
class ImagePredictions:
    """What the models made of the images, by their indices. `by`: who judged how many; `notes`: what a person should
    know about it.
    """

    predictions: dict[int, OutOfFold] = field(default_factory=dict)
    by: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Judges:
    """Judges images. `folder`: where cross-fitting works, so that it can go on after an interruption. `quick`: leave
    out what would need it.
    """

    settings: FineTuningSettings
    folder: Path
    quick: bool
    on_step: OnStep = lambda stage, done, total: None

    def by_detector(
        self, judged: ImagePredictions, subjects: Subjects, indices: Sequence[int], detector: Detector
    ) -> None:
        """One that has trained on none of these images. Its labels are those of the subjects where it knows them."""
        if not indices:
            return
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.on_step("looking", done, len(indices))

        found = held_out(detector, subjects.part(indices), count)
        judged.predictions |= dict(zip(sorted(indices), found, strict=True))
        judged.by.append(f"{detector.version} judged {_images(indices)}")
        unknown = sorted(subjects.used_labels - set(detector.labels))
        if unknown:
            judged.notes.append(
                f"{detector.version} does not know {', '.join(unknown)}: objects of these were not judged"
            )

    def by_cross_fitting(
        self,
        judged: ImagePredictions,
        subjects: Subjects,
        indices: Sequence[int],
        start: Checkpoint,
        sources: Sources | None,
    ) -> None:
        """Heads on the trunk of `start`, which has trained on none of these images."""
        if not indices:
            return
        if self.quick:
            judged.notes.append(f"{len(indices)} images that were trained on were left out, for speed")
            return
        examples, folds = subjects.part(indices), min(FOLDS, len(indices))
        if folds < 2:
            judged.notes.append("1 image was left out: there is no other one to learn from")
            return
        with self._alone():
            found = out_of_fold(
                start,
                examples,
                self.folder / _digest(subjects, indices, start),
                folds=folds,
                settings=self.settings,
                sources=sources,
                on_progress=self._shown,
            )
            shutil.rmtree(self.folder, ignore_errors=True)
        judged.predictions |= dict(zip(sorted(indices), found, strict=True))
        judged.by.append(f"heads that were trained on the others ({folds} folds) judged {_images(indices)}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two that work in one folder would spoil each other's work."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder.with_suffix(".lock"), timeout=0):
                yield
        except Timeout:
            raise ReviewError("another review of the same labels is under way: wait for its end") from None

    def _shown(self, progress: Progress) -> None:
        self.on_step("learning from the other images", progress.step, progress.steps)


def judge_project(
    judges: Judges,
    settings: Settings,
    database: Database,
    project_id: int,
    subjects: Subjects,
    sources_of: Callable[[Sequence[str]], Sources],
) -> ImagePredictions:
    """A project's images; `sources_of`: label -> labels of a model, given that model's labels.

    Raises ReviewError, WeightsError, ConfigError, TrainingError.
    """
    judged, everything = ImagePredictions(), range(len(subjects))
    # PyTorch judges, as it does for the gate: an export for ONNX Runtime takes ten seconds.
    settings = settings.model_copy(update={"prelabel_engine": "torch"})
    version = serving_version(database, project_id)
    detector = load_version(settings, version) if version else load_detector(settings)
    detector = with_project_labels(detector, sources_of(detector.labels))
    if version:
        learnt = learnt_from(settings, version)
        seen = subjects.among(learnt.pictures) if learnt else set(everything) - set(subjects.held_out)
        judges.by_detector(judged, subjects, sorted(set(everything) - set(seen)), detector)
        rest = sorted(seen)
        for number, fold in enumerate(folds_of_version(settings, database, version), 1):
            name = f"fold {number} of {version.name}"
            left_out = sorted(set(rest) & set(subjects.among(fold.left_out)))
            judges.by_detector(
                judged, subjects, left_out, open_detector(settings, fold.checkpoint, version=name)
            )
            rest = sorted(set(rest) - set(left_out))
    else:
        rest = list(everything)
        if subjects.used_labels <= set(detector.labels) or (
            judges.quick and subjects.used_labels & set(detector.labels)
        ):
            judges.by_detector(judged, subjects, rest, detector)
            return judged
        if judges.quick:
            raise ReviewError(
                f"{detector.version} knows none of the labels, and there is no version yet: "
                "leave out --quick, or train first"
            )
    _, start = base_checkpoint(settings)
    judges.by_cross_fitting(judged, subjects, rest, start, sources_of(start.labels))
    return judged


def judge_coco(judges: Judges, subjects: Subjects, start: Checkpoint) -> ImagePredictions:
    """A data set's images, by heads on the trunk of `start`, or with `quick` by `start` as it is.

    Raises ReviewError, WeightsError, ConfigError, TrainingError.
    """
    judged, everything = ImagePredictions(), range(len(subjects))
    if not judges.quick:
        judges.by_cross_fitting(judged, subjects, everything, start, None)
        return judged
    if not subjects.used_labels & set(start.labels):
        raise ReviewError("these weights know none of the labels: leave out --quick, or name others")
    device, threads = judges.settings.device, judges.settings.threads
    judges.by_detector(
        judged, subjects, everything, Detector.load(start, engine="torch", device=device, threads=threads)
    )
    return judged


def _digest(subjects: Subjects, indices: Sequence[int], start: Checkpoint) -> str:
    """Of all that the heads learn from: other labels must not go on from what these left."""
    content = [[subjects.image_refs[index].file, subjects.digests(index)] for index in sorted(indices)]
    return hashlib.sha256(json.dumps([start.digest, content]).encode()).hexdigest()[:12]


def _images(indices: Sequence[int]) -> str:
    return "1 image" if len(indices) == 1 else f"{len(indices)} images"
