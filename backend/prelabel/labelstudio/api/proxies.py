"""What stands in front of Label Studio, such as a reverse proxy that asks for a password: the headers that pass it, and
how its refusals are told from Label Studio's own.

Label Studio takes a legacy token in `X-Api-Key` too (core/middleware.py of 1.23), which leaves `Authorization` to a
proxy. It takes the access tokens of a personal access token in `Authorization` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from requests import Response

SETTING = "PRELABEL_LABEL_STUDIO_HEADERS"

AUTHORIZATION, API_KEY = "Authorization", "X-Api-Key"

PASSWORD_SCHEMES = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes of WWW-Authenticate that Label Studio never asks for: it says Token, or Bearer for a spent token."""

LOGIN_PAGE = re.compile(r"log-?in|sign-?_?in|sso|auth", re.IGNORECASE)
"""In the path that a request without a session is sent to."""

EXAMPLE = """'{"Authorization": "Basic '$(printf user:password | base64 | tr -d '\\n')'"}'"""
"""The setting for a proxy with basic auth, for a shell."""


def takes_authorization(headers: Mapping[str, str]) -> bool:
    """Whether a proxy has the Authorization header for itself."""
    return any(name.lower() == AUTHORIZATION.lower() for name in headers)


def token_header(authorization: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The header that carries Label Studio's token; `authorization`: `Token ...` or `Bearer ...`."""
    if takes_authorization(headers):
        return {API_KEY: authorization.partition(" ")[2]}
    return {AUTHORIZATION: authorization}


def refusal_of_proxy(response: Response, url: str, *, has_headers: bool) -> str | None:
    """One sentence where something in front of Label Studio at `url` answered, None where Label Studio did.

    `has_headers`: the setting is in use, and what it says was refused.
    """
    remedy = f"check what {SETTING} sends" if has_headers else f"set {SETTING}={EXAMPLE}"
    if response.status_code in (401, 407) and _asks_for_password(response):
        return f"A proxy in front of Label Studio at {url} asks for a user name and password: {remedy}."
    if response.status_code in (401, 403) and _is_page(response) and _is_of_api(response, url):
        return (
            f"Something in front of Label Studio at {url} answers {response.status_code} with a page of its own: "
            f"let prelabel pass it, with {SETTING} where it asks for a header."
        )
    return None


def redirection(url: str, call: str, response: Response) -> str:
    """One sentence on an answer that sends the caller elsewhere, without its query string. `call`: method and path."""
    location = response.headers["Location"].partition("?")[0]
    try:
        target = urlsplit(urljoin(response.url, location))
    except ValueError:
        return f"{url} redirects {call} to {location!r}, which is no address."
    origin = f"{target.scheme}://{target.netloc}"
    if LOGIN_PAGE.search(target.path):
        page = origin + target.path
        return (
            f"{url} sends {call} to the login page {page}: a proxy before it does not let the token in; {SETTING} has "
            "what it asks for."
        )
    if response.url.startswith(f"{origin}/"):
        return f"{url} redirects {call} to {target.path}: is that the address of Label Studio?"
    return f"{url} redirects to {origin}: set the URL to that."


def _asks_for_password(response: Response) -> bool:
    challenges = [response.headers.get(f"{who}-Authenticate", "") for who in ("WWW", "Proxy")]
    return any(one.partition(" ")[0].lower() in PASSWORD_SCHEMES for one in challenges)


def _is_page(response: Response) -> bool:
    return response.headers.get("Content-Type", "").lower().startswith("text/html")


def _is_of_api(response: Response, url: str) -> bool:
    """Whether an address was asked where Label Studio itself never answers with a page."""
    return urlsplit(response.url).path.startswith(f"{urlsplit(url).path}/api/")
