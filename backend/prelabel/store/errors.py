"""What is wrong with the database, in one sentence."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The database cannot be opened or used; the message is one sentence without the password in the URL."""
