"""The queue of a project, refreshed: every unlabelled task has a prediction, and Label Studio serves them in order.

Predictions that are missing are pushed as `annotate` does; the others stay as they are and get another score and
cluster under their ids, so nobody's work on them is disturbed. Each image is viewed once per version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.tabs import UNLABELLED, Tab, find_tab, put_tab
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.publish.annotate import BATCH_SIZE, Summary, TaskProblem, annotate_project
from prelabel.publish.survey import SCORE_COLUMN, survey
from prelabel.queue.cached_features import CachedFeatures
from prelabel.queue.ordering import Order, order_tasks, strategy_called
from prelabel.queue.ranked_tasks import RankedTask
from prelabel.settings import Settings
from prelabel.versions.own_versions import OwnVersions

TAB = "prelabel: next"

SAMPLING = "Uncertainty sampling"
"""What Label Studio calls a label stream that follows scores."""


@dataclass(frozen=True)
class Refreshed:
    """The result of a refresh. `ordered`: tasks with a place; `changed`: predictions that got another score or cluster.

    `is_whole`: nothing was left because somebody stopped it. `notes`: why the order or the label stream is another one
    than was asked for.
    """

    version: str
    strategy: str
    random_share: float
    ordered: int
    changed: int
    problems: tuple[TaskProblem, ...]
    is_whole: bool
    notes: tuple[str, ...]


class QueueRefresh:
    """One refresh: `predict`, then `put_in_order`."""

    def __init__(
        self,
        settings: Settings,
        client: LabelStudioClient,
        predictor: Predictor,
        project_id: int,
        own: OwnVersions,
        keep_going: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._client = client
        self._predictor = predictor
        self._own = own
        self._keep_going = keep_going
        self._project = read_project(client, project_id)
        label_config = self._project.label_config
        self._knows_labels = bool(predictor.capabilities.image_keys(predictor.label_spec(label_config)))
        folder = settings.queue_cache_path / str(project_id)
        self._cached = CachedFeatures(predictor, label_config, folder)

    def predict(
        self,
        batch_size: int = BATCH_SIZE,
        on_progress: Callable[[Summary], None] = lambda summary: None,
        *,
        even_empty: bool = True,
    ) -> Summary:
        """Push the predictions that unlabelled tasks lack, least sure ones first; what the strategies
        compare of their images is kept on the way. `even_empty` and errors as for annotate_project.
        """
        return annotate_project(
            self._client,
            self._predictor,
            self._project,
            self._own,
            least_sure_first=True,
            even_empty=even_empty,
            batch_size=batch_size,
            on_progress=on_progress,
            keep_going=self._keep_going,
            on_features=self._cached.note,
        )

    def put_in_order(
        self,
        strategy: str,
        random_share: float,
        *,
        sets_sampling: bool = True,
        on_place: Callable[[int, int], None] = lambda done, total: None,
    ) -> Refreshed:
        """Order the unlabelled tasks and tell Label Studio: scores and clusters, the tab, sampling.

        `sets_sampling`: even where the tab is there already, so that somebody may have chosen another one since.
        `on_place` gets how many places were told, and how many there are. Raises LabelStudioError.
        """
        tasks = list(survey(self._client, self._project.id))
        version = self._predictor.version
        chosen = strategy_called(self._settings, strategy, self._predictor.thresholds)
        order = order_tasks(
            chosen,
            random_share,
            self._cached,
            [task for task in tasks if not task.is_labelled and version in task.versions],
            [task for task in tasks if task.is_labelled],
            seed=self._project.id,
            keep_going=self._keep_going,
        )
        changed, is_whole = self._push(order.tasks, on_place) if order.is_whole else (0, False)
        notes = [self._tell(order, strategy, random_share, sets_sampling) if is_whole else None]
        if not self._knows_labels and not chosen.compares_with_labelled:
            notes.append(f"{version} knows none of the labels yet, so this is the random order.")
        told = tuple(note for note in notes if note)
        placed = len(order.tasks)
        return Refreshed(version, strategy, random_share, placed, changed, order.problems, is_whole, told)

    def _push(self, tasks: Sequence[RankedTask], on_place: Callable[[int, int], None]) -> tuple[int, bool]:
        """Give every prediction of this version its score and cluster, the first task first; how many differed, and
        whether none was left.
        """
        rows = self._predictions()
        changed = 0
        for done, task in enumerate(tasks, 1):
            if not self._keep_going():
                return changed, False
            for row in rows[task.task_id]:
                changed += self._put(row, task)
            on_place(done, len(tasks))
        return changed, True

    def _predictions(self) -> dict[int, list[dict[str, Any]]]:
        """Task -> its predictions of this version; without their regions, which may be large."""
        rows = defaultdict(list)
        for row in self._client.predictions(self._project.id):
            if row["model_version"] == self._predictor.version:
                rows[row["task"]].append({name: row[name] for name in ("id", "score", "cluster")})
        return rows

    def _put(self, row: dict[str, Any], task: RankedTask) -> bool:
        """Whether it had another one. A prediction that is gone by now needs none."""
        if (row["score"], row["cluster"]) == (task.score, task.cluster):
            return False
        try:
            self._client.update_prediction(row["id"], score=task.score, cluster=task.cluster)
        except LabelStudioError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def _tell(self, order: Order, strategy: str, random_share: float, sets_sampling: bool) -> str | None:
        """The project's settings and the tab; a note where its stream will not follow the order.

        The project is read again: while predictions ran somebody may have chosen another order.
        """
        if not order.tasks:
            return None
        is_first = find_tab(self._client, self._project.id, TAB) is None
        notes = {
            "strategy": strategy,
            "random_share": random_share,
            "version": self._predictor.version,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        tab = Tab(TAB, (f"tasks:{SCORE_COLUMN}",), (UNLABELLED,), (SCORE_COLUMN,), notes)
        put_tab(self._client, self._project.id, tab)
        sampling = read_project(self._client, self._project.id).sampling
        if sampling != SAMPLING and (is_first or sets_sampling):
            self._client.update_project(self._project.id, sampling=SAMPLING)
        elif sampling != SAMPLING:
            return f"The label stream is in {sampling!r} order, as somebody chose; the tab {TAB!r} is in this one."
        return None
