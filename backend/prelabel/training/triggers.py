"""The rules by which a training run is requested: pure functions from what is known to a reason, or to None."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fbnetv3.finetuning.cadence import GROWTH, Cadence
from prelabel.labelstudio.config.project import labelled_tasks_of
from prelabel.settings import Settings
from prelabel.store.events import action_of, project_of
from prelabel.store.label_counts import accepted_labels, most_regions
from prelabel.store.runs import NewLabels, Run

START_TRAINING = "START_TRAINING"
"""Label Studio's event for the button, and for every N-th label where a project has
`min_annotations_to_start_training`."""


@dataclass(frozen=True)
class TriggerRules:
    """`every`: new labels that start a training run, 0 for never; None: a share, `growth`, of the labelled tasks that
    the last decision was made on. `minimum`: labelled tasks without which none starts, unless `every` is None and one
    task has many objects (see Cadence). `interval`: after which a project is trained anyway; None for never.
    """

    every: int | None
    minimum: int
    interval: timedelta | None
    growth: float = GROWTH

    @classmethod
    def of(cls, settings: Settings) -> TriggerRules:
        """The rules that the settings state."""
        hours = settings.prelabel_train_interval
        return cls(
            settings.prelabel_train_every,
            settings.prelabel_train_min_labels,
            timedelta(hours=hours) if hours else None,
            settings.prelabel_train_growth,
        )

    @property
    def cadence(self) -> Cadence:
        """What decides where `every` is None."""
        return Cadence(self.minimum, self.growth)

    def is_enough(self, labelled: int, objects: int) -> bool:
        """Whether a run may learn from so many labelled tasks, one of which has so many `objects`."""
        return labelled >= self.minimum or (self.every is None and self.cadence.is_enough(labelled, objects))


def event_reason(rules: TriggerRules, payload: Any, labels: NewLabels) -> str | None:
    """Why an event starts a training run. `labels`: those since the last decision, those of this event too; none where
    a run is about to read them."""
    if action_of(payload) == START_TRAINING:
        return "Start Training"
    if project_of(payload) is None or not accepted_labels(payload) or not labels.counted:
        return None
    labelled, objects = labelled_tasks_of(payload["project"]), most_regions(payload)
    if labelled is not None and not rules.is_enough(labelled, objects):
        return None
    return _counted(labels.counted) if is_due(rules, labels, labelled or 0, objects) else None


def is_due(rules: TriggerRules, labels: NewLabels, labelled: int, objects: int = 0) -> bool:
    """Whether enough labels are new. `labelled`: tasks with labels, as Label Studio counts them; 0: it does not say.
    `objects`: in the one of the labels just heard of that has most.

    After a run that came to no decision it is not the very next label that starts another one: a failure is tried again
    by itself, and may last.
    """
    if rules.every is not None:
        return rules.every > 0 and labels.counted // rules.every > labels.tried // rules.every
    now = max(labels.decided_on + labels.counted, labelled)
    seen = labels.read or (now - labels.counted + labels.tried if labels.tried else 0)
    tried = max(labels.decided_on + labels.tried, seen)
    return rules.cadence.is_due(now, labels.decided_on, tried, objects)


def timer_reason(
    rules: TriggerRules, labelled: int, decided: Run | None, read: Run | None, now: datetime
) -> str | None:
    """Why the timer starts a training run. `labelled`: tasks with labels, as Label Studio counts them now; `decided`:
    the last run that came to a decision; `read`: the last run that read the labels, however it ended."""
    if labelled < rules.minimum:
        return None
    known, tried = (run.accepted or 0 if run else 0 for run in (decided, read))
    labels = NewLabels(labelled - known, max(tried - known, 0), known, tried)
    if is_due(rules, labels, labelled):
        return f"{_counted(labels.counted)}, found by asking"
    if rules.interval and (read is None or now - read.requested_at >= rules.interval):
        return "timer"
    return None


def too_few(rules: TriggerRules, labelled: int, objects: int) -> str | None:
    """Why so few labelled tasks cannot be trained on, in one sentence; None for enough. `objects`: see `is_enough`."""
    if rules.is_enough(labelled, objects):
        return None
    have = "1 task has" if labelled == 1 else f"{labelled} tasks have"
    return f"{have} accepted labels, and training starts at {rules.minimum} (PRELABEL_TRAIN_MIN_LABELS)"


def _counted(labels: int) -> str:
    return f"{labels} new label{'' if labels == 1 else 's'}"
