"""Connect a project to a running prelabel server so that predictions, their scores and the label stream work.

Label Studio writes the TITLE of a new backend into `project.model_version` and then looks for predictions of
that version: only where the title is the version itself do scores show and does the label stream follow them,
while Label Studio still asks the server for tasks that have no prediction yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prelabel.errors import PrelabelError
from prelabel.labelstudio.api.backends import (
    AttachedBackend,
    BasicAuth,
    attached_backends,
    recorded_versions,
    same_url,
    write_backend,
)
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.request_guard import guard_refusal
from prelabel.labelstudio.api.webhooks import keep_one_webhook, webhook_headers
from prelabel.labelstudio.config.project import Project, read_project
from prelabel.labelstudio.errors import LabelStudioError


class ConnectError(PrelabelError):
    """A project that cannot be connected: one sentence, with the remedy in it. Nothing half-made is left."""


@dataclass(frozen=True)
class ConnectedProject:
    """What connecting came to.

    `project`: as it was before. `changes`: what was done, a line each; none where all was as it should be. `notes`:
    what a person should know, a sentence each.
    """

    project: Project
    backend_id: int
    changes: tuple[str, ...]
    notes: tuple[str, ...]


def connect_project(
    client: LabelStudioClient,
    project_id: int,
    backend_url: str,
    model_version: str,
    *,
    basic_auth: BasicAuth | None = None,
    webhook_secret: str | None = None,
) -> ConnectedProject:
    """Make the server at `backend_url`, as Label Studio reaches it, the project's one prelabel backend.

    Safe to repeat, also after the server changed its version, address or password. `basic_auth`: the server's
    user and password, which the webhook then carries too, as it does `webhook_secret`. Raises ConnectError, and
    LabelStudioError where a call fails that has nothing to do with the server.
    """
    project = read_project(client, project_id)
    if refusal := guard_refusal(client, project_id, backend_url):
        raise ConnectError(f"{refusal.reason}; {refusal.remedy}.")
    headers = webhook_headers(basic_auth, webhook_secret)
    connector = _Connector(client, project_id, backend_url.rstrip("/"), model_version, basic_auth, headers)
    backend_id = connector.connect()
    return ConnectedProject(project, backend_id, tuple(connector.changes), tuple(connector.notes))


class _Connector:
    """The steps, each of which changes only what is not as it should be."""

    def __init__(
        self,
        client: LabelStudioClient,
        project_id: int,
        url: str,
        version: str,
        basic_auth: BasicAuth | None,
        headers: Mapping[str, str],
    ) -> None:
        self._client = client
        self._project_id = project_id
        self._url = url
        self._version = version
        self._basic_auth = basic_auth
        self._headers = headers
        self.changes: list[str] = []
        self.notes: list[str] = []

    def connect(self) -> int:
        """Do all that is to be done; the id of the backend."""
        before = attached_backends(self._client, self._project_id)
        there = [backend for backend in before if same_url(backend.url, self._url)]
        elsewhere = [backend for backend in before if backend.is_prelabel and backend not in there]
        kept, *superfluous = [*there, *elsewhere] or [self._added()]
        self._update(kept, recorded_versions(before))
        self._remove(superfluous)
        abandoned = [backend.url for backend in elsewhere]
        self.changes += keep_one_webhook(self._client, self._project_id, self._url, abandoned, self._headers)
        self._show_predictions()
        self._confirm(kept.id)
        return kept.id

    def _added(self) -> AttachedBackend:
        try:
            row = self._client.add_ml_backend(
                self._project_id, self._url, self._version, basic_auth=self._basic_auth
            )
        except LabelStudioError as error:
            self._remove_half_made()
            raise self._not_accepted(error) from error
        self.changes.append(f"added the ML backend {self._version} at {self._url}")
        return AttachedBackend.from_row(row)

    def _remove_half_made(self) -> None:
        """Label Studio keeps a backend whose webhook it refused."""
        for backend in attached_backends(self._client, self._project_id):
            if same_url(backend.url, self._url):
                self._client.delete_ml_backend(backend.id)

    def _update(self, backend: AttachedBackend, versions: list[str]) -> None:
        """Also where nothing seems to differ: a password cannot be read back."""
        try:
            write_backend(
                self._client,
                backend,
                self._url,
                self._version,
                versions,
                self._basic_auth,
                is_interactive=True,
            )
        except LabelStudioError as error:
            raise self._not_accepted(error) from error
        if not same_url(backend.url, self._url):
            self.changes.append(f"moved the ML backend from {backend.url} to {self._url}")
        if backend.title != self._version:
            self.changes.append(f"renamed the ML backend {backend.title!r} to {self._version}")
        if backend.user != (self._basic_auth[0] if self._basic_auth else None):
            self.changes.append("told Label Studio the server's user and password, or that it has none")
        if not backend.is_interactive:
            self.changes.append("switched on Auto-Annotation, which smart tools need")

    def _remove(self, superfluous: list[AttachedBackend]) -> None:
        for backend in superfluous:
            self._client.delete_ml_backend(backend.id)
            self.changes.append(f"removed a prelabel backend too many, {backend.title!r} at {backend.url}")

    def _show_predictions(self) -> None:
        """Annotators see predictions, and the predictions of this version are the project's.

        The project is read again: Label Studio writes into it when a backend is added or renamed.
        """
        project = read_project(self._client, self._project_id)
        if not project.shows_predictions:
            self._client.update_project(self._project_id, show_collab_predictions=True)
            self.changes.append("switched on that annotators see predictions")
        if project.shown_version != self._version:
            self._client.update_project(self._project_id, model_version=self._version)
            before = f", before: {project.shown_version}" if project.shown_version else ""
            self.changes.append(f"the project now shows the predictions of {self._version}{before}")

    def _confirm(self, backend_id: int) -> None:
        """Look at the backend as Label Studio sees it in the end."""
        after = attached_backends(self._client, self._project_id)
        backend = next(backend for backend in after if backend.id == backend_id)
        if not backend.is_connected:
            raise ConnectError(
                f"Label Studio shows the backend at {self._url} as {backend.state}: "
                f"{backend.problem or 'it does not answer'}; run `prelabel doctor` for the reason."
            )
        if after[0].id != backend_id:
            self.notes.append(
                f"Label Studio asks only the first ML backend of a project, {after[0].title!r} at "
                f"{after[0].url}: remove it in Settings > Model if prelabel is to answer."
            )
        if backend.served_version != self._version:
            self.notes.append(
                f"Label Studio reaches a server that serves {backend.served_version} at {self._url}, "
                f"this machine one that serves {self._version}: are there two?"
            )

    def _not_accepted(self, error: LabelStudioError) -> ConnectError:
        return ConnectError(
            f"Label Studio does not accept {self._url} as an ML backend: {str(error).rstrip('.')}. "
            "It must reach the server under this very address, which inside a container is not localhost."
        )
