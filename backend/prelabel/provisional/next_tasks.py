"""The stored predictions of the tasks that somebody will open next, renewed by a new provisional version.

Label Studio asks for a prediction when a task without one is opened, and, in the label stream, for every task whose
prediction is not of the version that answers now. Only where a task with an older prediction is opened from the Data
Manager would that one show. So a new version renews those of the few tasks after the one that was labelled last,
instead of the whole project's with every label. Where the label stream follows scores, nothing is renewed: the stored
scores are its order, and it asks by itself.

A prediction is changed in its place and never removed: its task may be open just now, and Label Studio refuses an
annotation that was made from a prediction which is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import UNLABELLED
from prelabel.labelstudio.config.project import Project, read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.publish.survey import SurveyedTask, survey
from prelabel.queue.refresh import SAMPLING
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.versions.own_versions import OwnVersions

NEXT_TASKS = 5
"""A person is through with them in a minute or so, and a newer version has come by then."""


def renew_next_tasks(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    predictor: Predictor,
    project_id: int,
    last: int,
    keep_going: Callable[[], bool] = lambda: True,
) -> int:
    """Renew older predictions of prelabel's on the next unlabelled tasks after the task `last`, then from the first
    on; how many. `keep_going` is asked before each. Raises LabelStudioError and LabelConfigError.
    """
    project = read_project(client, project_id)
    if project.sampling == SAMPLING:
        return 0
    backends = attached_backends(client, project_id)
    own = OwnVersions.of_project(settings, database, project_id, backends, predictor.version)
    renewed = 0
    for task in islice(_unlabelled_after(client, project_id, last), NEXT_TASKS):
        if not keep_going():
            break
        if predictor.version not in task.versions and any(version in own for version in task.versions):
            renewed += _renew(client, predictor, project, task, own)
    return renewed


def _renew(
    client: LabelStudioClient, predictor: Predictor, project: Project, task: SurveyedTask, own: OwnVersions
) -> bool:
    row = _that_shows(client.task_predictions(task.id), own, project.shown_version)
    if row is None:
        return False
    asked = {"id": task.id, "data": task.data}
    [outcome] = predictor.predict([asked], project.label_config, project.id)
    if outcome.is_blind:
        return False
    try:
        client.update_prediction(row["id"], **outcome.prediction)
    except LabelStudioError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _that_shows(rows: Sequence[Mapping[str, Any]], own: OwnVersions, shown: str) -> Mapping[str, Any] | None:
    """Of prelabel's predictions of a task the one with which the editor begins: of the version that the project shows,
    else the oldest."""
    ours = [row for row in rows if row["model_version"] in own]
    return next((row for row in ours if row["model_version"] == shown), next(iter(ours), None))


def _unlabelled_after(client: LabelStudioClient, project_id: int, last: int) -> Iterator[SurveyedTask]:
    for operator in ("greater", "less"):
        filters = [UNLABELLED, _id(operator, last)]
        yield from survey(client, project_id, filters=filters, page_size=NEXT_TASKS)


def _id(operator: str, value: int) -> dict[str, Any]:
    return {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": value}
