"""Who may call the console: people at their own browser, and no page of another site through it.

A browser sends its user's requests wherever a page wants, so the network and the password do not keep other sites out.
Three things do: the Host must be a name of this server (a foreign name that points here is how DNS rebinding reads
answers); what changes something is a POST with a token that only our own pages can read; and a request that the browser
marks as coming from another site is refused.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Collection

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden

TOKEN_COOKIE, TOKEN_HEADER = "_prelabel_csrf", "X-Prelabel-CSRF"
TOKEN_BYTES = 24

READING = ("GET", "HEAD", "OPTIONS")

FRIENDLY = ("same-origin", "none", None)
"""What browsers say in Sec-Fetch-Site of requests that our own pages or people make; other clients say nothing."""


FOREIGN = "A page of another site sent this: open the console itself."


def guard(app: Flask, names: Collection[str], *, is_password_protected: bool) -> None:
    """Refuse what no page of ours sent, and give pages their token.

    `names`: at which the server may be addressed besides this machine's own and IP addresses. Where a password protects
    the server every name may be used: a page of another name has no password to send.
    """
    known = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
    app.before_request(_guard(known, any_name=is_password_protected))
    app.after_request(_give_token)


def _guard(known: Collection[str], *, any_name: bool) -> Callable[[], None]:
    def check() -> None:
        if not any_name and not _is_known(request.host, known):
            raise Forbidden(
                f"This server is not called {request.host}: put that name into PRELABEL_CONSOLE_HOSTS, or open its "
                "pages at its address."
            )
        site = request.headers.get("Sec-Fetch-Site")
        if site not in FRIENDLY and request.headers.get("Sec-Fetch-Mode") != "navigate":
            raise Forbidden(FOREIGN)
        if request.method in READING:
            return
        origin = request.headers.get("Origin")
        is_foreign = origin is not None and origin.partition("://")[2] != request.host
        if is_foreign or site not in FRIENDLY:
            raise Forbidden(FOREIGN)
        expected, given = request.cookies.get(TOKEN_COOKIE, ""), request.headers.get(TOKEN_HEADER, "")
        if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
            raise Forbidden("The page's token is missing or out of date: load the page again.")

    return check


def _is_known(host: str, known: Collection[str]) -> bool:
    name = host.lower()
    name = name.partition("]")[0].removeprefix("[") if name.startswith("[") else name.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in known
    return True


def _give_token(response: Response) -> Response:
    if request.method == "GET" and TOKEN_COOKIE not in request.cookies:
        response.set_cookie(
            TOKEN_COOKIE,
            secrets.token_urlsafe(TOKEN_BYTES),
            samesite="Strict",
            secure=request.is_secure,
            path="/console/",
        )
    return response


def who(*, is_password_protected: bool) -> str:
    """Who sent this request, for the log of actions: the user that the password let in, else the address."""
    given = request.authorization
    user = given.username if is_password_protected and given is not None else None
    return user or request.remote_addr or "unknown"
