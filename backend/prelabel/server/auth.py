"""Basic authentication, where BASIC_AUTH_USER and BASIC_AUTH_PASS are set."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from flask import request
from werkzeug.datastructures import Authorization, WWWAuthenticate
from werkzeug.exceptions import Unauthorized

OPEN_ROUTES = frozenset({"/", "/health", "/ready"})
"""What load balancers ask without credentials; the answers say nothing of the data."""


def basic_auth_guard(user: str, password: str) -> Callable[[], None]:
    """A `before_request` function that lets only this user in, except to the open routes."""

    def guard() -> None:
        if request.path not in OPEN_ROUTES and not _is_right(request.authorization, user, password):
            raise Unauthorized(
                "User name and password are missing or wrong.",
                www_authenticate=WWWAuthenticate("basic", {"realm": "prelabel"}),
            )

    return guard


def _is_right(given: Authorization | None, user: str, password: str) -> bool:
    """Compares in constant time, and both parts in any case, so that the answer's time tells nothing."""
    if given is None or given.type != "basic":
        return False
    right_user = _equal(given.username, user)
    right_password = _equal(given.password, password)
    return right_user and right_password


def _equal(given: str | None, expected: str) -> bool:
    return hmac.compare_digest((given or "").encode(), expected.encode())
