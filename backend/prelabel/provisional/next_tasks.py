"""The stored predictions of the tasks that somebody will open next, renewed by a new provisional version.

Label Studio asks for a prediction when a task without one is opened, and, in the label stream, for every task whose
prediction is not of the version that answers now. Only where a task with an older prediction is opened from the Data
Manager would that one show. So a new version replaces those of the few tasks after the one that was labelled last,
instead of the whole project's with every label. Where the label stream follows scores, nothing is replaced: the stored
scores are its order, and it asks by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import UNLABELLED
from prelabel.labelstudio.config.project import read_project
from prelabel.publish.annotate import AnnotateError, annotate_project
from prelabel.publish.survey import SurveyedTask, survey
from prelabel.queue.refresh import SAMPLING
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.versions.own_versions import OwnVersions

logger = logging.getLogger(__name__)

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
    """Replace older predictions of prelabel's on the next unlabelled tasks after the task `last`, then from the first
    on; how many. `keep_going` is asked before each. Raises LabelStudioError and LabelConfigError.
    """
    project = read_project(client, project_id)
    if project.sampling == SAMPLING:
        return 0
    backends = attached_backends(client, project_id)
    own = OwnVersions.of_project(settings, database, project_id, backends, predictor.version)
    tasks = islice(_unlabelled_after(client, project_id, last), NEXT_TASKS)
    try:
        summary = annotate_project(
            client,
            predictor,
            project,
            own,
            tasks=list(tasks),
            stale_only=True,
            batch_size=1,
            keep_going=keep_going,
        )
    except AnnotateError as error:
        logger.warning("project %s: no predictions of %s: %s", project_id, predictor.version, error)
        return 0
    return summary.pushed


def _unlabelled_after(client: LabelStudioClient, project_id: int, last: int) -> Iterator[SurveyedTask]:
    for operator in ("greater", "less"):
        filters = [UNLABELLED, _id(operator, last)]
        yield from survey(client, project_id, filters=filters, page_size=NEXT_TASKS)


def _id(operator: str, value: int) -> dict[str, Any]:
    return {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": value}
