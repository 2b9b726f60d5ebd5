"""What serves a project, as its training run compares a candidate with it: on images that it has not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

from fbnetv3.data.snapshot import Snapshot
from fbnetv3.detector import Detector
from fbnetv3.folds import shared_out
from fbnetv3.judging import ImageFindings, Served, findings_by_key
from fbnetv3.provisional import left_out_findings, left_out_heads, regions_of_example, start_head
from prelabel.labelstudio.config.object_controls import sources
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import Version, serving_version
from prelabel.versions.detectors import open_detector, with_project_labels
from prelabel.versions.learnt import LearntFrom, folds_of_version, learnt_from
from prelabel.versions.loading import base_thresholds, project_detector
from prelabel.versions.records import version_thresholds


class WhatServes:
    """The project's version, or what provisional ones are made of: the base weights and the labels so far.

    `label_config`: asks for the project's labelling config.
    """

    def __init__(
        self, settings: Settings, database: Database, project_id: int, label_config: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._database = database
        self._project_id = project_id
        self._label_config = label_config

    @cached_property
    def detector(self) -> Detector:
        """With its own labels. Raises WeightsError and ConfigError."""
        return project_detector(self._settings, self._database, self._project_id)

    @cached_property
    def thresholds(self) -> Mapping[str, float]:
        """The operating point that it carries, by its own labels; empty where it has none."""
        return version_thresholds(self._version) if self._version else base_thresholds(self._settings)

    def on(self, snapshot: Snapshot, judged: Collection[str], count: Callable[[], None]) -> Served | None:
        """What it finds in the images that it has not learnt from; None where it knows none of the labels.

        `judged`: the keys of the images that the candidate is judged by: a version looks at no other. `count` is called
        after each image. Raises what reading the images raises.
        """
        version = self._version
        if version is None:
            return Served(self._provisional_findings(snapshot, count), is_new=not any(self._sources.values()))
        serving = self._with_project_labels()
        if serving is None:
            return None
        learnt = learnt_from(self._settings, version)
        known = learnt.keys if learnt else snapshot.keys[: len(snapshot.train)]
        new = [place for place, key in enumerate(snapshot.keys) if key in judged and key not in known]
        lookers = self._folds(version, snapshot, new, learnt) or [(serving, new)]
        found = findings_by_key(lookers, snapshot.everything, snapshot.keys, count)
        return Served(
            found,
            version.judgement.objects.by_key if version.judgement.objects else {},
            self._thresholds_by_project_label(),
        )

    def _folds(
        self, version: Version, snapshot: Snapshot, places: Sequence[int], learnt: LearntFrom | None
    ) -> list[tuple[Detector, Sequence[int]]]:
        """The folds of the version's run, with the images that each is to look at; none where they are gone."""
        folds = list(folds_of_version(self._settings, self._database, version))
        left_out = [fold.left_out for fold in folds]
        shares = shared_out(places, snapshot.pictures, left_out, learnt.pictures if learnt else ())
        return [
            (with_project_labels(open_detector(self._settings, fold.checkpoint), self._sources), share)
            for fold, share in zip(folds, shares, strict=True)
        ]

    def _provisional_findings(
        self, snapshot: Snapshot, count: Callable[[], None]
    ) -> dict[str, ImageFindings]:
        base, images = self.detector, snapshot.everything
        start = start_head(base, snapshot.labels, self._sources)
        regions = [regions_of_example(base, images[place], snapshot.labels) for place in range(len(images))]
        heads = left_out_heads(regions, start, snapshot.pictures)
        return left_out_findings(base, images, snapshot.keys, heads, count)

    @cached_property
    def _version(self) -> Version | None:
        return serving_version(self._database, self._project_id)

    @cached_property
    def _sources(self) -> Mapping[str, list[str]]:
        return sources(self._label_config(), self.detector.labels)

    def _with_project_labels(self) -> Detector | None:
        return with_project_labels(self.detector, self._sources) if any(self._sources.values()) else None

    def _thresholds_by_project_label(self) -> dict[str, float] | None:
        """Where several labels of what serves are one of the project, the lowest of theirs; None without any."""
        own, default = self.thresholds, self._settings.model_score_threshold
        if not own:
            return None
        return {
            label: min(own.get(name, default) for name in names)
            for label, names in self._sources.items()
            if names
        }
