"""The two kinds of Label Studio token, and the Authorization header that each one makes.

A legacy token is sent as it is. A personal access token is a JWT that only buys short-lived access tokens
(300 s) at /api/token/refresh/; those are what requests carry. Nothing here verifies a signature: Label Studio
does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import jwt

from prelabel.labelstudio.errors import LabelStudioError

LEGACY_TOKEN = "legacy token"
PERSONAL_ACCESS_TOKEN = "personal access token"

REFRESH_MARGIN_S = 30.0
"""An access token with less life than this is replaced before use: a slow upload must not outlive it."""

Exchange = Callable[[str], str]
"""Takes a personal access token, returns a fresh access token; raises LabelStudioError."""


class Credentials(Protocol):
    """What a client needs of a token."""

    kind: str
    rejected_hint: str

    def header(self) -> str:
        """The value of the Authorization header, valid now. Raises LabelStudioError."""
        ...

    def renew(self, rejected: str) -> bool:
        """Called when Label Studio refused the header `rejected`: is there another one to try?"""
        ...


class LegacyToken:
    """`Authorization: Token ...`, for as long as the organisation allows legacy tokens."""

    kind = LEGACY_TOKEN
    rejected_hint = (
        "it is wrong, or legacy tokens are off, which is the default: use a personal access token (Account & "
        "Settings > Personal Access Token) or allow legacy tokens in the organisation's API token settings"
    )

    def __init__(self, token: str) -> None:
        self._header = f"Token {token}"

    def header(self) -> str:
        """The same header for ever."""
        return self._header

    def renew(self, rejected: str) -> bool:
        """There is nothing to renew."""
        return False


class PersonalAccessToken:
    """`Authorization: Bearer ...` with an access token that is exchanged when it is about to expire."""

    kind = PERSONAL_ACCESS_TOKEN
    rejected_hint = "it was revoked or belongs to another Label Studio: make a new one (Account & Settings)"

    def __init__(self, token: str, exchange: Exchange, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._exchange = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._header = ""
        self._expires = 0.0

    def header(self) -> str:
        """The current access token; one thread exchanges it while the others wait."""
        with self._lock:
            if self._clock() > self._expires - REFRESH_MARGIN_S:
                self._refresh()
            return self._header

    def renew(self, rejected: str) -> bool:
        """Exchange again, unless another thread already has since `rejected` was sent."""
        with self._lock:
            if self._header == rejected:
                self._refresh()
            return True

    def _refresh(self) -> None:
        access = self._exchange(self._token)
        self._expires = _expiry(jwt_claims(access) or {}, self._clock())
        self._header = f"Bearer {access}"


def credentials(api_key: str, exchange: Exchange) -> Credentials:
    """The kind of token that `api_key` is. Raises LabelStudioError for one that can never work."""
    api_key = api_key.strip()
    if not api_key:
        raise LabelStudioError(
            "No Label Studio token is set: give LABEL_STUDIO_API_KEY a personal access token."
        )
    if not api_key.isascii() or any(character.isspace() for character in api_key):
        raise LabelStudioError("The Label Studio token holds characters that no token has: copy it again.")
    claims = jwt_claims(api_key)
    if claims is None:
        return LegacyToken(api_key)
    if claims.get("token_type") == "access":
        raise LabelStudioError(
            "The Label Studio token is an access token, which soon expires: give the personal access token."
        )
    return PersonalAccessToken(api_key, exchange)


def jwt_claims(token: str) -> dict[str, Any] | None:
    """The payload of a JWT, unverified; None when `token` is not one."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return claims


def _expiry(claims: dict[str, Any], now: float) -> float:
    """When, by our clock, an access token received `now` ends; 0 (use it once) where it does not say.

    With `iat` it is the lifetime that counts, so that clocks that differ do not matter.
    """
    try:
        expires = float(claims["exp"])
        return now + expires - float(claims["iat"]) if "iat" in claims else expires
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
