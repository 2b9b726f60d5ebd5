"""Requests that cannot be answered now, though nothing is wrong with them: 503."""

from prelabel.errors import PrelabelError


class NotReady(PrelabelError):
    """There is no answer now; the message is one sentence for the caller."""


class ModelNotReady(NotReady):
    """There is no model to ask now."""


class NothingSeen(NotReady):
    """Not one image of the request could be looked at."""
