"""The ML backends of a project as Label Studio keeps them, and which of them are prelabel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from prelabel.labelstudio.api.client import LabelStudioClient

CONNECTED = "CO"
"""The state of a backend whose last /health and /setup went well."""

BasicAuth = tuple[str, str]
"""User name and password."""

NO_BASIC_AUTH = {"auth_method": "NONE", "basic_auth_user": ""}

RECORD = "prelabel"
EARLIER = "; served before: "
MAX_EARLIER = 50
"""What connecting writes into a backend's description, which Label Studio shows under the title. Kept with the
project, it tells every machine which versions are prelabel's, of whatever weights they were."""


@dataclass(frozen=True)
class AttachedBackend:
    """One ML backend of a project. `row` is Label Studio's own record, which its update call wants back.

    `served_version`: what its /setup answered last; None when it never did. `problem`: why the last call
    failed. `user`: the basic auth user that Label Studio calls it with; None without basic auth.
    `is_interactive`: whether Label Studio offers Auto-Annotation, which is smart tools.
    """

    id: int
    url: str
    title: str
    description: str
    state: str
    is_connected: bool
    problem: str
    served_version: str | None
    user: str | None
    is_interactive: bool
    row: Mapping[str, Any]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> AttachedBackend:
        """From one item of GET /api/ml."""
        return cls(
            id=row["id"],
            url=row["url"],
            title=row["title"] or "",
            description=row["description"] or "",
            state=row["readable_state"],
            is_connected=row["state"] == CONNECTED,
            problem=" ".join((row["error_message"] or "").split()),
            served_version=row["model_version"] or None,
            user=(row["basic_auth_user"] or None) if row["auth_method"] == "BASIC_AUTH" else None,
            is_interactive=bool(row.get("is_interactive")),
            row=row,
        )

    @property
    def is_prelabel(self) -> bool:
        """Whether `prelabel connect` wrote its record."""
        return self.description.partition(";")[0] == RECORD

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that this backend serves and served, oldest first; none where it is not prelabel."""
        if not self.is_prelabel:
            return ()
        earlier = self.description.partition(EARLIER)[2]
        return (*filter(None, earlier.split(", ")), self.title)


def record(earlier: Iterable[str]) -> str:
    """The description of a backend that is prelabel and served these versions before."""
    kept = list(dict.fromkeys(earlier))[-MAX_EARLIER:]
    return RECORD + (EARLIER + ", ".join(kept) if kept else "")


def recorded_versions(backends: Iterable[AttachedBackend]) -> list[str]:
    """The versions that the project's ML backends, where they are prelabel, serve and served."""
    return [version for backend in backends for version in backend.versions]


def attached_backends(client: LabelStudioClient, project_id: int) -> list[AttachedBackend]:
    """The project's ML backends, in the order in which Label Studio considers them; it asks only the first.

    Label Studio calls every one's /health and /setup before it answers. Raises LabelStudioError.
    """
    rows = sorted(client.ml_backends(project_id), key=lambda row: row["id"])
    return [AttachedBackend.from_row(row) for row in rows]


def write_backend(
    client: LabelStudioClient,
    backend: AttachedBackend,
    url: str,
    version: str,
    earlier: Iterable[str],
    basic_auth: BasicAuth | None,
    **more: Any,
) -> None:
    """Make `version` the backend's title, and put `earlier` ones on record; set `more` fields. Raises LabelStudioError.

    The server's user and password go along every time: they cannot be read back, and Label Studio asks the
    server before it writes.
    """
    fields = {"url": url, "title": version, "description": record(one for one in earlier if one != version)}
    if basic_auth is None:
        fields |= NO_BASIC_AUTH
    client.update_ml_backend(backend.row, basic_auth=basic_auth, **fields, **more)


def same_url(one: str, other: str) -> bool:
    """Whether two URLs name the same address, written differently or not."""
    return _normal(one) == _normal(other)


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """An address of somebody else's, which may be none, is itself."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url, "", None, ""
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/")
