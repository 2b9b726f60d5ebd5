"""From a project's accepted labels to its next provisional version, in about a second."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fbnetv3.provisional import LabelledRegions
from prelabel.errors import FORESEEN
from prelabel.folders import project_folder
from prelabel.inference.outcomes import Failure
from prelabel.inference.predictor import Predictor
from prelabel.labels.accepted import AcceptedTask, accepted_tasks
from prelabel.labels.collecting import CollectedLabels, collect_labels
from prelabel.labels.stored_images import image_store
from prelabel.labels.usefulness import effort_of
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.object_controls import sources
from prelabel.labelstudio.config.project import Project, labelled_tasks_of, read_project
from prelabel.labelstudio.errors import LabelConfigError, LabelStudioError
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.provisional.kept_regions import ImageLabels, KeptRegions, image_labels
from prelabel.provisional.known_images import KnownImages
from prelabel.provisional.lesson import Lesson
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.provisional import (
    TO_BE_READ_AGAIN,
    LabelsRead,
    ProvisionalVersion,
    label_changes,
    note_read,
    provisional_version,
)
from prelabel.versions.provisional import only_maker, provisional_head, store_provisional

logger = logging.getLogger(__name__)

MOST_TASKS = 200
"""The newest that count: a project with more has a version of its own by then, or its labels are not learnt so."""


@dataclass(frozen=True)
class Made:
    """A new provisional version. `last_task`: the task that was labelled last."""

    version: ProvisionalVersion
    last_task: int


class ProvisionalMaker:
    """Makes the provisional versions of all projects, on one base predictor."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        client: LabelStudioClient,
        fetcher: ImageFetcher,
        base: Predictor,
    ) -> None:
        self._settings = settings
        self._database = database
        self._client = client
        self._fetcher = fetcher
        self._base = base
        self._known = KnownImages()
        self._told: set[tuple[int, str]] = set()

    def make(self, project_id: int) -> Made | None:
        """The project's next provisional version, of its labels as they are now; None where it is made of the very
        same ones already, or where there is nothing to make one of.

        An image that cannot be had is a line in the log and left out; for want of Label Studio it is tried again.
        Raises LabelStudioError, and WeightsError or SnapshotError where the disk refuses.
        """
        with only_maker(self._settings, project_id):
            changes = label_changes(self._database, project_id)
            read = LabelsRead(changes, None)
            try:
                project = read_project(self._client, project_id)
                read = LabelsRead(changes, labelled_tasks_of(project.answer))
                return self._make(project, read)
            except LabelConfigError as error:
                self._tell(project_id, f"no provisional version: {error}")
            except LabelStudioError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                self._tell(project_id, f"no provisional version: {error}")
            note_read(self._database, project_id, read, has_labels=False)
            return None

    def _make(self, project: Project, read: LabelsRead) -> Made | None:
        if not project.objects_config.for_any_task().objects.labels:
            note_read(self._database, project.id, read, has_labels=False)
            return None
        tasks = _newest(accepted_tasks(self._client, project.id))
        found = self._collect(project, tasks)
        for reason in found.left_out:
            self._tell(project.id, f"left out of the provisional version: {reason}")
        if found.outages:
            read = LabelsRead(TO_BE_READ_AGAIN, read.labelled)
        if not found.annotations:
            note_read(self._database, project.id, read, has_labels=bool(found.outages))
            return None
        version = self._learn(project, found, read)
        return Made(version, tasks[-1].task_id) if version else None

    def _collect(self, project: Project, tasks: Sequence[AcceptedTask]) -> CollectedLabels:
        images = project_folder(self._settings, project.id) / "images"
        store = image_store(self._fetcher, images, self._settings.prelabel_max_image_pixels)
        return collect_labels(tasks, project.objects_config, self._known.before(store))

    def _learn(self, project: Project, found: CollectedLabels, read: LabelsRead) -> ProvisionalVersion | None:
        folder = project_folder(self._settings, project.id)
        kept = KeptRegions(self._base.detector, folder / "provisional", folder / "images")
        images = image_labels(found)
        lesson = Lesson(
            found.labels,
            sources(project.label_config, self._base.labels),
            self._base.version,
            tuple(kept.key(image) for image in images),
            effort_of(self._settings),
            self._settings.model_score_threshold,
        )
        if self._is_there(project.id, lesson):
            note_read(self._database, project.id, read)
            return None
        pictures, regions = self._regions(project.id, kept, images)
        kept.keep_only(images)
        if not any(one.names for one in regions):
            note_read(self._database, project.id, read, has_labels=False)
            return None
        head = lesson.fit(self._base.detector, regions, pictures)
        return store_provisional(self._settings, self._database, project.id, head, lesson.digest, read)

    def _is_there(self, project_id: int, lesson: Lesson) -> bool:
        version = provisional_version(self._database, project_id)
        if version is None or version.made_from != lesson.digest:
            return False
        try:
            provisional_head(self._settings, self._database, version.name)
        except FORESEEN as error:
            logger.warning("project %s: %s is made again: %s", project_id, version.name, error)
            return False
        return True

    def _regions(
        self, project_id: int, kept: KeptRegions, images: Sequence[ImageLabels]
    ) -> tuple[list[str], list[LabelledRegions]]:
        """The SHA-256 of the images that can be described, and the regions of each."""
        pictures, found = [], []
        for image in images:
            regions = kept.of(image)
            if isinstance(regions, Failure):
                self._tell(
                    project_id, f"left out of the provisional version: {image.sha256}: {regions.reason}"
                )
            else:
                pictures.append(image.sha256)
                found.append(regions)
        return pictures, found

    def _tell(self, project_id: int, text: str) -> None:
        """Once, not with every label."""
        if (project_id, text) not in self._told:
            self._told.add((project_id, text))
            logger.warning("project %s: %s", project_id, text)


def _newest(tasks: Sequence[AcceptedTask]) -> list[AcceptedTask]:
    """The tasks that were labelled last, the very last at the end."""
    return sorted(tasks, key=lambda task: (task.changed_at, task.task_id))[-MOST_TASKS:]
