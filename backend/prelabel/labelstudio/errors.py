"""The errors of this package: every message is one sentence and holds no token and no query string."""

from __future__ import annotations

from prelabel.errors import PrelabelError


class LabelStudioError(PrelabelError):
    """Label Studio refused a call or was not reached; `status` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LabelConfigError(PrelabelError):
    """A labelling config that cannot be read."""


class FetchError(PrelabelError):
    """An image that was not fetched. `is_outage`: because Label Studio was away, not because of the image."""

    def __init__(self, message: str, *, is_outage: bool = False) -> None:
        super().__init__(message)
        self.is_outage = is_outage
