"""Label Studio's request guard: which addresses it refuses to call, and how to allow one.

Label Studio calls no loopback or private address unless told to, and that is every prelabel on the same
machine, in the same network or in the same compose file. A guard that is half open lets a backend be added
without its webhook, so both addresses are tried first, in requests that Label Studio must reject for another
reason (no such project, no such event): it looks at the address before it looks at those, and nothing is
written.
"""

from __future__ import annotations

from dataclasses import dataclass

import requests

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.webhooks import webhook_url

ALLOW_LOCAL = (
    "start Label Studio with USE_DEFAULT_BANNED_SUBNETS=false in its environment "
    "(the narrowest switch: bans of your own in USER_ADDITIONAL_BANNED_SUBNETS stay)"
)

BANNED = "reserved network address"
UNRESOLVED = "resolve hostname"
"""How Label Studio words the two reasons for which it refuses an address."""

NO_PROJECT = -1
NO_EVENT = "IS_THIS_URL_ALLOWED"


@dataclass(frozen=True)
class Refusal:
    """An address that Label Studio will not call: one sentence each on why and on the remedy."""

    reason: str
    remedy: str


def guard_refusal(client: LabelStudioClient, project_id: int, backend_url: str) -> Refusal | None:
    """Why Label Studio would refuse to call this backend or to send it events; None when it would not.

    Writes nothing. Raises LabelStudioError where Label Studio cannot be asked.
    """
    hook = webhook_url(backend_url)
    answer = client.send("POST", "/api/ml", json={"project": NO_PROJECT, "url": backend_url})
    if refusal := _refusal(f"call {backend_url}", answer):
        return refusal
    trial = {"project": project_id, "url": hook, "actions": [NO_EVENT]}
    return _refusal(f"send events to {hook}", client.send("POST", "/api/webhooks/", json=trial))


def _refusal(action: str, answer: requests.Response) -> Refusal | None:
    detail = _detail(answer)
    if BANNED in detail:
        return Refusal(f"Label Studio's request guard forbids it to {action}: {detail}", ALLOW_LOCAL)
    if UNRESOLVED in detail:
        return Refusal(
            f"Label Studio cannot {action}: {detail}",
            "give --url the address of prelabel as the machine or container of Label Studio sees it",
        )
    return None


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
