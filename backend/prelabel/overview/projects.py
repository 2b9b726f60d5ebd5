"""How each project stands: what serves it, which run is under way, and how many labels the next one waits for.

Only the store is read, so that it takes milliseconds and works while Label Studio is away.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, replace

from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.label_counts import known_projects
from prelabel.store.project_settings import project_settings
from prelabel.store.provisional import ProvisionalVersion, provisional_version, provisional_versions
from prelabel.store.runs import NewLabels, Run, new_labels, open_runs
from prelabel.store.version_figures import VersionFigures, version_figures
from prelabel.store.versions import VersionState
from prelabel.training.triggers import TriggerRules, is_due

MOST_LABELS = 1 << 20
"""More than any project waits for."""


@dataclass(frozen=True)
class ProjectOverview:
    """One project. `versions`: all of its own, oldest first. `provisional`: what answers until one of them serves; None
    where none was made. `runs`: those that wait or are under way. `new_labels`: accepted since the last decision;
    `next_run`: how many more start the next run, None where labels start none; of no meaning while one waits in `runs`.
    `has_timer`: time starts one as well.
    """

    project_id: int
    versions: tuple[VersionFigures, ...]
    provisional: ProvisionalVersion | None
    runs: tuple[Run, ...]
    new_labels: int
    next_run: int | None
    has_timer: bool

    @property
    def serving(self) -> VersionFigures | None:
        """The project's version that answers for it."""
        return next((one for one in self.versions if one.state is VersionState.SERVING), None)

    @property
    def promoted(self) -> tuple[VersionFigures, ...]:
        """The versions that serve or have served, oldest first."""
        return tuple(one for one in self.versions if one.was_promoted)

    @property
    def no_edit_share(self) -> float | None:
        """Of the objects in judged images, the share whose region could stay; None where nothing was judged."""
        return self.serving.judged.no_edit_share if self.serving else None

    @property
    def answers(self) -> str:
        """What answers for the project, by its name."""
        if self.serving:
            return self.serving.name
        return self.provisional.name if self.provisional else "base weights"

    @property
    def next_run_in_words(self) -> str:
        """When the next run starts, for people."""
        if self.runs:
            return "running" if any(run.started_at for run in self.runs) else "about to start"
        if self.next_run is None:
            return "by the timer" if self.has_timer else "by hand only"
        return "with the next label" if self.next_run == 1 else f"after {self.next_run} more labels"


def project_overview(settings: Settings, database: Database, project_id: int) -> ProjectOverview:
    """One project, whether it was heard of or not. Raises StoreError."""
    versions = version_figures(database, project_id)
    early = provisional_version(database, project_id) if settings.prelabel_provisional else None
    return _overview(settings, database, project_id, versions, early, open_runs(database))


def project_overviews(settings: Settings, database: Database) -> list[ProjectOverview]:
    """Every project that prelabel has heard of, by its id. Raises StoreError."""
    versions = defaultdict(list)
    for one in version_figures(database):
        versions[one.project_id].append(one)
    found = provisional_versions(database) if settings.prelabel_provisional else []
    early = {one.project_id: one for one in found}
    runs = open_runs(database)
    return [
        _overview(settings, database, project_id, versions[project_id], early.get(project_id), runs)
        for project_id in known_projects(database)
    ]


def _overview(
    settings: Settings,
    database: Database,
    project_id: int,
    versions: list[VersionFigures],
    early: ProvisionalVersion | None,
    runs: list[Run],
) -> ProjectOverview:
    labels = new_labels(database, project_id)
    own_runs = tuple(run for run in runs if run.project_id == project_id)
    rules = TriggerRules.of(project_settings(settings, database, project_id))
    next_run = _labels_until_run(rules, labels)
    return ProjectOverview(
        project_id, tuple(versions), early, own_runs, labels.counted, next_run, bool(rules.interval)
    )


def _labels_until_run(rules: TriggerRules, labels: NewLabels) -> int | None:
    """How many more labels are enough as the triggers count them, each on a task of its own and none with many objects;
    None where no number is.
    """

    def is_enough(more: int) -> bool:
        then = replace(labels, counted=labels.counted + more)
        labelled = max(labels.decided_on + then.counted, labels.read)
        return rules.is_enough(labelled, 0) and is_due(rules, then, labelled)

    more = bisect_left(range(MOST_LABELS), True, lo=1, key=is_enough)
    return more if more < MOST_LABELS else None
