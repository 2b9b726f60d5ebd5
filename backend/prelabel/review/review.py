"""A review from beginning to end: labels, judges, findings, what was decided before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fbnetv3.arrays import Array
from fbnetv3.data.coco_files import CocoDataSet
from fbnetv3.finetuning import FineTuningSettings
from fbnetv3.finetuning.start import spelled_as
from fbnetv3.images import read_image
from fbnetv3.instances import Instances
from fbnetv3.review import LabelIssue, find_label_issues
from fbnetv3.review.sizes import UsualSizes
from fbnetv3.weights import Checkpoint
from prelabel.folders import project_folder
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.object_controls import sources
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.review.decisions import Memory, StoreMemory, with_decisions
from prelabel.review.findings import CONFIDENCE_DIGITS, ReviewFinding, finding_id
from prelabel.review.judges import ImagePredictions, Judges, OnStep, judge_coco, judge_project
from prelabel.review.prelabels import Prelabelled, prelabelled_images, review_prelabels
from prelabel.review.subjects import Subjects, box_of, coco_subjects, project_subjects
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.training.fine_tuning import fine_tuning_settings
from prelabel.versions.loading import build_fetcher

LEAST_CONFIDENCE = 0.3
"""From which a finding is reported. Below one half, because what is surely wrong may be wrong in several ways."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Picture:
    """What a person and a model say of one image: `pixels` (H, W, 3) uint8; `annotated` is empty for predictions."""

    pixels: Array
    annotated: Instances
    predicted: Instances


@dataclass(frozen=True, eq=False)
class Review:
    """What a review came to.

    `title`: what was reviewed. `findings`: the surest first. `judged`: images that a model looked at; `by`: which, in
    words; `notes`: what is not in it, and why. `picture`: the image that a finding is about, which may raise
    ImageError, CocoError and FetchError.
    """

    title: str
    findings: list[ReviewFinding]
    judged: int
    by: list[str]
    notes: list[str]
    picture: Callable[[ReviewFinding], Picture]


@dataclass(frozen=True)
class ReviewOptions:
    """`quick`: without cross-fitting. `predictions`: those of unlabelled tasks, too. `least`: confidence, 0..1, of what
    is reported.
    """

    quick: bool = False
    predictions: bool = False
    least: float = LEAST_CONFIDENCE


@dataclass
class _Pictures:
    """Finds the picture of a finding again."""

    subjects: Subjects | None = None
    judged: ImagePredictions = field(default_factory=ImagePredictions)
    prelabelled: dict[tuple[object, ...], Prelabelled] = field(default_factory=dict)
    fetcher: ImageFetcher | None = None

    def of(self, finding: ReviewFinding) -> Picture:
        """See Review.picture."""
        if finding.source == "prediction":
            assert self.fetcher is not None
            image = self.prelabelled[finding.image_ref.key]
            pixels = read_image(self.fetcher.fetch(image.value, finding.image_ref.task))
            nothing = Instances.empty(image.instances.image_size, image.instances.label_names)
            return Picture(pixels, nothing, image.instances)
        assert self.subjects is not None
        index = [image_ref.key for image_ref in self.subjects.image_refs].index(finding.image_ref.key)
        pixels, annotated = self.subjects.shown(index)
        seen = self.judged.predictions.get(index)  # none where this review left the image out
        predicted = seen.instances if seen else Instances.empty(annotated.image_size, annotated.label_names)
        return Picture(pixels, annotated, predicted)


def review_project(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    project_id: int,
    options: ReviewOptions = ReviewOptions(),
    on_step: OnStep = lambda stage, done, total: None,
) -> Review:
    """Review the accepted labels of a project; its findings are the last review's from now on. Changes nothing in Label
    Studio.

    Raises ReviewError, SnapshotError, LabelStudioError, LabelConfigError, WeightsError, ConfigError, TrainingError,
    CocoError and ImageError.
    """
    project = read_project(client, project_id)
    folder = project_folder(settings, project_id)
    fetcher = build_fetcher(settings)
    read = partial(on_step, "reading labels")
    max_pixels = settings.prelabel_max_image_pixels
    subjects = project_subjects(client, fetcher, project, folder, max_pixels, read)
    for_heads = replace(fine_tuning_settings(settings, project_id), frozen_stages=None, epochs=None)
    judges = Judges(for_heads, folder / "review", options.quick, on_step)
    judged = judge_project(
        judges, settings, database, project_id, subjects, partial(sources, project.label_config)
    )
    pictures = _Pictures(subjects, judged, fetcher=fetcher)
    found = find_in(subjects, judged, options.least)
    if options.predictions:
        images = prelabelled_images(client, project)
        usual = UsualSizes.of(subjects.examples)
        for finding, image in review_prelabels(subjects.scope, images, usual):
            if finding.confidence >= options.least:
                found.append(finding)
                pictures.prelabelled[image.image_ref.key] = image
        judged.by.append(f"the predictions of {len(images)} unlabelled images were looked through")
    return _concluded(subjects, judged, found, StoreMemory(database, project_id), pictures)


def review_coco(
    found: CocoDataSet,
    title: str,
    start: Checkpoint,
    memory: Memory,
    folder: Path,
    settings: FineTuningSettings,
    options: ReviewOptions = ReviewOptions(),
    on_step: OnStep = lambda stage, done, total: None,
) -> Review:
    """Review the labels of COCO files by heads on the trunk of `start`; cross-fitting works in `folder`.

    Raises ReviewError, CocoError, WeightsError, ConfigError, TrainingError and ImageError.
    """
    subjects = coco_subjects(found, title)
    start = spelled_as(subjects.examples.labels, start)
    judged = judge_coco(Judges(settings, folder, options.quick, on_step), subjects, start)
    findings = find_in(subjects, judged, options.least)
    return _concluded(subjects, judged, findings, memory, _Pictures(subjects, judged))


def find_in(subjects: Subjects, judged: ImagePredictions, least: float) -> list[ReviewFinding]:
    """What looks wrong in the images that were judged, the surest first; of an object its likeliest mistake alone,
    and whether it is there twice.
    """
    indices = sorted(judged.predictions)
    predictions = [judged.predictions[index] for index in indices]
    reported: set[tuple[int, tuple[int, ...]]] = set()
    findings = []
    for found in find_label_issues(subjects.part(indices), predictions, least=least):
        about = found.image, found.objects
        if not found.objects or about not in reported:
            findings.append(described(subjects, replace(found, image=indices[found.image])))
        reported.add(about)
    return findings


def described(subjects: Subjects, found: LabelIssue) -> ReviewFinding:
    """A finding with where it is and what it is about."""
    image_ref, digests = subjects.image_refs[found.image], subjects.digests(found.image)
    records = [subjects.objects(found.image)[number] for number in found.objects]
    content = tuple(digests[number] for number in found.objects)
    box = _as_box(found.box)
    identity = content or box or (0.0, 0.0, 0.0, 0.0)
    return ReviewFinding(
        id=finding_id(subjects.scope, image_ref, "annotation", found.kind, identity),
        kind=found.kind,
        confidence=round(float(found.confidence), CONFIDENCE_DIGITS),
        source="annotation",
        image_ref=image_ref,
        made_in=subjects.annotation_of(found.image),
        regions=tuple(region for record in records for region in subjects.regions(record)),
        objects=found.objects,
        labels=tuple(subjects.label(record) for record in records),
        boxes=tuple(box_of(record) for record in records),
        label=found.label,
        box=box,
        content=content,
    )


def _concluded(
    subjects: Subjects,
    judged: ImagePredictions,
    found: Sequence[ReviewFinding],
    memory: Memory,
    pictures: _Pictures,
) -> Review:
    findings = with_decisions(found, memory.recall(), subjects)
    memory.keep(findings)
    notes = [*judged.notes, *_left_out(subjects.left_out)]
    return Review(subjects.title, findings, len(judged.predictions), judged.by, notes, pictures.of)


def _left_out(reasons: Iterable[str]) -> list[str]:
    return [f"left out: {reason}" for reason in reasons]


def _as_box(box: Array | None) -> Box | None:
    if box is None:
        return None
    x0, y0, x1, y1 = (round(float(side), 2) for side in box)
    return x0, y0, x1, y1
