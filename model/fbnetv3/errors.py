"""The base of this package's errors, so that callers catch one."""

from __future__ import annotations


class FbnetError(Exception):
    """A file, a value or a setting cannot be used; the message says in one sentence why, often with what to do."""
