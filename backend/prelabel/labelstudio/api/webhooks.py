"""The webhook through which a prelabel server hears of new labels: one per project and server, and let in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prelabel.labelstudio.api.backends import BasicAuth, same_url
from prelabel.labelstudio.api.client import LabelStudioClient

SECRET_HEADER = "X-Prelabel-Secret"
"""Carries PRELABEL_WEBHOOK_SECRET."""

EVERY_EVENT = {"is_active": True, "send_for_all_actions": True, "send_payload": True}


@dataclass(frozen=True)
class Webhook:
    """One webhook of a project. `is_complete`: every event is sent, with what happened in it."""

    id: int
    url: str
    is_active: bool
    is_complete: bool
    headers: Mapping[str, str]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Webhook:
        """From one item of GET /api/webhooks/."""
        return cls(
            id=row["id"],
            url=row["url"],
            is_active=row["is_active"],
            is_complete=row["send_for_all_actions"] and row["send_payload"],
            headers=row["headers"] or {},
        )


def project_webhooks(client: LabelStudioClient, project_id: int) -> list[Webhook]:
    """The project's webhooks, oldest first. Raises LabelStudioError."""
    rows = sorted(client.webhooks(project_id), key=lambda row: row["id"])
    return [Webhook.from_row(row) for row in rows]


def webhook_url(backend_url: str) -> str:
    """Where Label Studio sends the events of a project to this backend."""
    return backend_url.rstrip("/") + "/webhook"


def webhook_headers(basic_auth: BasicAuth | None, secret: str | None = None) -> dict[str, str]:
    """What lets a webhook in: Label Studio adds the user and password of the backend to none."""
    headers = {}
    if basic_auth is not None:
        token = base64.b64encode(":".join(basic_auth).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    if secret is not None:
        headers[SECRET_HEADER] = secret
    return headers


def keep_one_webhook(
    client: LabelStudioClient,
    project_id: int,
    backend_url: str,
    abandoned: Iterable[str],
    headers: Mapping[str, str],
) -> list[str]:
    """Make one webhook to this backend, complete and let in, the only one; what was changed, a line each.

    `abandoned`: addresses at which the backend was before; Label Studio leaves their webhooks behind.
    `headers`: what lets a webhook in, from `webhook_headers`.
    Raises LabelStudioError.
    """
    hooks = project_webhooks(client, project_id)
    ours = [hook for hook in hooks if same_url(hook.url, webhook_url(backend_url))]
    left = [webhook_url(url) for url in abandoned]
    left_behind = [hook for hook in hooks if any(same_url(hook.url, url) for url in left)]
    changes = _mend(client, ours[0], headers) if ours else _add(client, project_id, backend_url, headers)
    for hook in (*ours[1:], *left_behind):
        client.delete_webhook(hook.id)
        changes.append(f"removed a webhook too many, {hook.id} to {hook.url}")
    return changes


def _mend(client: LabelStudioClient, hook: Webhook, wanted: Mapping[str, str]) -> list[str]:
    """Headers that somebody else put there stay."""
    ours = {"authorization", SECRET_HEADER.lower()}
    others = {name: value for name, value in hook.headers.items() if name.lower() not in ours}
    headers = {**others, **wanted}
    changes = []
    if dict(hook.headers) != headers:
        changes.append("gave the webhook the server's password and secret, or took old ones from it")
    if not (hook.is_active and hook.is_complete):
        changes.append("made the webhook send every event")
    if changes:
        client.update_webhook(hook.id, headers=headers, **EVERY_EVENT)
    return changes


def _add(
    client: LabelStudioClient, project_id: int, backend_url: str, headers: Mapping[str, str]
) -> list[str]:
    client.add_webhook(project_id, webhook_url(backend_url), dict(headers))
    return ["added the missing webhook"]
