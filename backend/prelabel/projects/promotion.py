"""Promotion: a version becomes the serving one in the store, and Label Studio follows.

The store decides, in one transaction. What Label Studio has to be told comes after it and can be repeated: its
backend's title and `model_version` (`publish`), then the predictions of unlabelled tasks (`refresh_predictions`).
`unfinished_promotions` names the projects for which one of the two is still to be done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from prelabel.labelstudio.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.projects.annotate import BATCH_SIZE, AnnotateError, Summary
from prelabel.projects.attached import AttachedBackend, attached_backends, write_backend
from prelabel.projects.loading import base_checkpoint, project_predictor
from prelabel.projects.own_versions import OwnVersions
from prelabel.projects.queue.refresh import QueueRefresh
from prelabel.projects.running import BasicAuth, basic_auth_of
from prelabel.projects.shown_version import show_version
from prelabel.projects.versions import (
    Version,
    VersionError,
    VersionState,
    load_version,
    project_versions,
    version_heads,
)
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.versions import (
    add_promotion,
    mark_published,
    mark_refreshed,
    newest_promotion,
    unfinished_promotions,
)

__all__ = [
    "previous_version",
    "promote",
    "publish",
    "refresh_predictions",
    "roll_back",
    "unfinished_promotions",
]

logger = logging.getLogger(__name__)


def promote(
    settings: Settings,
    database: Database,
    client: LabelStudioClient | None,
    version: Version,
    reason: str | None = None,
) -> list[str]:
    """Make `version` serve its project; what was changed, a line each. Safe to repeat.

    It is loaded first, so that one that cannot be is never promoted, and servers find its export ready. `client`:
    None where Label Studio is not to be told now; where it does not answer, the promotion holds all the same.
    `reason`: default is the gate's. Raises WeightsError, ConfigError, VersionError.
    """
    load_version(settings, version)
    version_heads(settings, version)
    return _serve(settings, database, client, version.project_id, version, reason or version.reason)


def roll_back(
    settings: Settings,
    database: Database,
    client: LabelStudioClient | None,
    project_id: int,
    version: Version | None,
    reason: str,
) -> list[str]:
    """Make an earlier version serve the project again, None: the base weights; what was changed, a line each.

    Raises VersionError for a version of another project, or one that never served, and what `promote` raises.
    """
    if version is None:
        base_checkpoint(settings)
        return _serve(settings, database, client, project_id, None, reason)
    if version.project_id != project_id:
        raise VersionError(f"{version.name} is no version of project {project_id}")
    if version.state not in (VersionState.SERVING, VersionState.RETIRED):
        raise VersionError(
            f"{version.name} never served, it is {version.state}: there is nothing to go back to"
        )
    return promote(settings, database, client, version, reason)


def previous_version(database: Database, project_id: int) -> Version | None:
    """The version that `roll_back` goes to by itself: the newest that served and is older than the serving one.

    None: the base weights. Raises VersionError where they serve already.
    """
    versions = project_versions(database, project_id)
    serving = next((one for one in versions if one.state is VersionState.SERVING), None)
    if serving is None:
        raise VersionError(f"project {project_id} has no serving version: the base weights answer for it")
    earlier = [one for one in versions if one.number < serving.number and one.state is VersionState.RETIRED]
    return earlier[-1] if earlier else None


def publish(settings: Settings, database: Database, client: LabelStudioClient, project_id: int) -> list[str]:
    """Make Label Studio show what serves the project; what was changed, a line each. Safe to repeat.

    A project that prelabel is not connected to stays as it is (connecting names what serves), and so does one that
    never had a promotion, or for which somebody chose another version than prelabel's. Raises LabelStudioError,
    WeightsError.
    """
    promotion = newest_promotion(database, project_id)
    if promotion is None:
        return []
    backends = [one for one in attached_backends(client, project_id) if one.is_prelabel]
    changes = []
    if backends:
        name = promotion.version or base_checkpoint(settings)[0]
        for backend in backends:
            changes += _retitle(client, backend, name, basic_auth_of(settings))
        own = OwnVersions.of_project(settings, database, project_id, backends, name)
        changes += _show(client, project_id, name, own, {backend.title for backend in backends})
    mark_published(database, promotion)
    return changes


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


def _serve(
    settings: Settings,
    database: Database,
    client: LabelStudioClient | None,
    project_id: int,
    version: Version | None,
    reason: str,
) -> list[str]:
    name = version.name if version else "the base weights"
    changes = []
    if add_promotion(database, project_id, version, reason):
        changes.append(f"project {project_id} is served by {name} now")
        logger.info("project %s is served by %s: %s", project_id, name, reason)
    if client is None:
        return changes
    try:
        return changes + publish(settings, database, client, project_id)
    except LabelStudioError as error:
        logger.warning("project %s: Label Studio does not show %s yet: %s", project_id, name, error)
        return [*changes, f"Label Studio was not told, which will be tried again: {error}"]


def _retitle(
    client: LabelStudioClient, backend: AttachedBackend, name: str, basic_auth: BasicAuth | None
) -> list[str]:
    if backend.title == name:
        return []
    write_backend(client, backend, backend.url, name, backend.versions, basic_auth)
    return [f"renamed the ML backend {backend.title!r} to {name}"]


def _show(
    client: LabelStudioClient, project_id: int, name: str, own: OwnVersions, titles: set[str]
) -> list[str]:
    shown = client.project(project_id)["model_version"] or ""
    if shown == name:
        return []
    if shown and shown not in own and shown not in titles:
        return [f"the project goes on showing the predictions of {shown!r}, which somebody chose"]
    client.update_project(project_id, model_version=name)
    return [f"the project now shows the predictions of {name}"]


def _conclude(client: LabelStudioClient, project_id: int, name: str, own: OwnVersions) -> None:
    counts = client.prediction_counts(project_id)
    if counts.get(name) and (note := show_version(client, project_id, name, own)):
        logger.warning("project %s: %s", project_id, note)
