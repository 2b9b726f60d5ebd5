"""A prelabel server that runs somewhere: is it there, is it ready, which model version does it serve?"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import requests

from prelabel.errors import PrelabelError
from prelabel.labelstudio.api.backends import BasicAuth

TIMEOUTS = (3.0, 10.0)
"""Seconds to connect and to wait for an answer; /versions of a loading server takes 2 s before it says so."""

POLL_SECONDS = 0.5


class ServerError(PrelabelError):
    """A server that cannot be used: one sentence, with the remedy in it."""


class ServerAbsent(ServerError):
    """No prelabel server answers at the address."""


class ServerNotReady(ServerError):
    """The server runs, but its model is still loading or could not be loaded."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers, under the address at which this machine reached it. `model_version`: None while
    there is no model.
    """

    url: str
    model_version: str | None


def find_server(urls: Iterable[str]) -> RunningServer:
    """The server behind the first address that one answers at.

    Label Studio may reach prelabel under a name that this machine cannot resolve: pass both addresses.
    Raises ServerAbsent, about the first address, when there is none.
    """
    absent = ServerAbsent("No address of a prelabel server was given.")
    for number, url in enumerate(urls):
        try:
            return _ask_health(url.rstrip("/"))
        except ServerAbsent as error:
            absent = error if number == 0 else absent
    raise absent


def served_version(
    server: RunningServer,
    basic_auth: BasicAuth | None = None,
    patience: float = 0.0,
    project_id: int | None = None,
) -> str:
    """The model version that answers for a project, None: that of the base weights; it is waited for up to
    `patience` seconds.

    Raises ServerNotReady while there is no model, ServerError where the password is wrong.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _ask_version(server.url, basic_auth, project_id)
        except ServerNotReady:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _ask_health(url: str) -> RunningServer:
    try:
        answer = requests.get(f"{url}/health", timeout=TIMEOUTS)
    except requests.RequestException:
        raise ServerAbsent(
            f"No prelabel server answers at {url}: start it with `prelabel serve`, "
            "or give its address with --url."
        ) from None
    health = _json_object(answer)
    if health.get("model_class") != "prelabel":
        raise ServerAbsent(f"What answers at {url} is not prelabel: give the address of prelabel with --url.")
    return RunningServer(url, health.get("model_version"))


def _ask_version(url: str, basic_auth: BasicAuth | None, project_id: int | None) -> str:
    params = {} if project_id is None else {"project": project_id}
    try:
        answer = requests.get(f"{url}/versions", params=params, auth=basic_auth, timeout=TIMEOUTS)
    except requests.RequestException:
        raise ServerError(f"The server at {url} stopped answering: look at its log.") from None
    if answer.status_code == requests.codes.unauthorized:
        raise ServerError(
            f"The server at {url} refuses the password: "
            "set BASIC_AUTH_USER and BASIC_AUTH_PASS here as it has them."
        )
    body = _json_object(answer)
    if answer.status_code == requests.codes.unavailable:
        raise ServerNotReady(f"The server at {url} cannot predict: {body.get('error', 'it gives no reason')}")
    versions = body.get("versions")
    if not isinstance(versions, list) or not versions:
        raise ServerError(f"The server at {url} does not name its model version: look at its log.")
    return str(versions[0])


def _json_object(answer: requests.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
