"""The base of this package's errors, and what to catch where those of the model count as well."""

from __future__ import annotations

from fbnetv3.errors import FbnetError


class PrelabelError(Exception):
    """What was asked for cannot be done; the message says in one sentence why, often with what to do.

    It holds no password, no token and no query string: it goes to terminals, logs and answers as it is.
    """


FORESEEN = (FbnetError, PrelabelError)
"""Errors whose message is for a person to read; any other exception is a bug."""
