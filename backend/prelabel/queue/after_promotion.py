"""After a promotion: unlabelled tasks get predictions of the version that serves now, and a place in the order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.publish.annotate import BATCH_SIZE, AnnotateError, Summary
from prelabel.publish.shown_version import show_version
from prelabel.queue.refresh import QueueRefresh
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.promotions import mark_refreshed, newest_promotion
from prelabel.versions.loading import project_predictor
from prelabel.versions.own_versions import OwnVersions

logger = logging.getLogger(__name__)


def refresh_predictions(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    project_id: int,
    *,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[Summary], None] = lambda summary: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Summary | None:
    """Give the unlabelled tasks predictions of what serves the project, the least sure ones first, take back
    prelabel's own older ones, and put the tasks in the order of the settings; None where there is nothing to do.

    It ends early when `keep_going`, asked before every batch, says no, or another version starts to serve; called
    again it goes on from there. Raises LabelStudioError, LabelConfigError, WeightsError, ConfigError.
    """
    promotion = newest_promotion(database, project_id)
    if promotion is None or promotion.is_refreshed:
        return None
    begun = datetime.now(UTC)

    def is_wanted() -> bool:
        now = newest_promotion(database, project_id)
        return now is not None and now.id == promotion.id and keep_going()

    predictor = project_predictor(settings, database, project_id)
    backends = attached_backends(client, project_id)
    own = OwnVersions.of_project(settings, database, project_id, backends, predictor.version)
    queue = QueueRefresh(settings, client, predictor, project_id, own, is_wanted)
    try:
        is_ordered = settings.prelabel_strategy != "none"
        summary = queue.predict(batch_size, on_progress, even_empty=is_ordered)
    except AnnotateError as error:
        logger.warning("project %s: no predictions of %s: %s", project_id, predictor.version, error)
        mark_refreshed(database, promotion, begun)
        return None
    if summary.done == summary.total and _put_in_order(settings, queue, project_id):
        _conclude(client, project_id, predictor.version, own)
        mark_refreshed(database, promotion, begun)
    return summary


def _put_in_order(settings: Settings, queue: QueueRefresh, project_id: int) -> bool:
    """Whether all of it was done."""
    if settings.prelabel_strategy == "none":
        return True
    found = queue.put_in_order(
        settings.prelabel_strategy, settings.prelabel_random_share, sets_sampling=False
    )
    logger.info("project %s: %d tasks in the order of %s", project_id, found.ordered, found.strategy)
    for note in found.notes:
        logger.info("project %s: %s", project_id, note)
    return found.is_whole


def _conclude(client: LabelStudioClient, project_id: int, name: str, own: OwnVersions) -> None:
    counts = client.prediction_counts(project_id)
    if counts.get(name) and (note := show_version(client, project_id, name, own)):
        logger.warning("project %s: %s", project_id, note)
