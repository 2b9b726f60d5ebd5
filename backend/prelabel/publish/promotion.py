"""Promotion: a version becomes the serving one in the store, and Label Studio follows.

The store decides, in one transaction. What Label Studio has to be told comes after it and can be repeated: its
backend's title and `model_version` (`publish`), then the predictions of unlabelled tasks (`queue.after_promotion`).
`unfinished_promotions` names the projects for which one of the two is still to be done.
"""

from __future__ import annotations

import logging

from prelabel.labelstudio.api.backends import AttachedBackend, BasicAuth, attached_backends, write_backend
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion, mark_published, newest_promotion, unfinished_promotions
from prelabel.versions.loading import base_checkpoint
from prelabel.versions.own_versions import OwnVersions
from prelabel.versions.records import (
    Version,
    VersionError,
    VersionState,
    load_version,
    project_versions,
    version_heads,
)

__all__ = [
    "previous_version",
    "promote",
    "publish",
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
            changes += _retitle(client, backend, name, settings.basic_auth)
        own = OwnVersions.of_project(settings, database, project_id, backends, name)
        changes += _show(client, project_id, name, own, {backend.title for backend in backends})
    mark_published(database, promotion)
    return changes


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
    shown = read_project(client, project_id).shown_version
    if shown == name:
        return []
    if shown and shown not in own and shown not in titles:
        return [f"the project goes on showing the predictions of {shown!r}, which somebody chose"]
    client.update_project(project_id, model_version=name)
    return [f"the project now shows the predictions of {name}"]
