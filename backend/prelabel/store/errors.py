"""What is wrong with the database, in one sentence with its remedy."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL

from prelabel.errors import PrelabelError

DAMAGED = ("not a database", "malformed", "unsupported file format", "could not decode")
"""In what SQLite says of a file that it did not write, or that lost a part."""

FULL = ("disk is full", "disk I/O error")

ANOTHER = "or name another one in PRELABEL_DATABASE_URL"

NEW_ONE = (
    "put a copy of yours in its place, or move it away, with the -wal and -shm files beside it, and start again: a new "
    "one knows no versions, runs and decisions of reviews; labels stay in Label Studio, weights in MODEL_DIR"
)


class StoreError(PrelabelError):
    """The database cannot be opened or used; the message is one sentence without the password in the URL."""


def worded(url: URL, error: BaseException) -> StoreError:
    """What to tell people. `error`: of the database's driver or of the operating system."""
    said = first_line(error)
    if url.get_backend_name() == "sqlite" and url.database:
        return StoreError(_about_file(Path(url.database), said, url))
    return StoreError(
        f"the database {shown(url)} does not answer: {said}; see that it runs and lets this user in, {ANOTHER}"
    )


def shown(url: URL) -> str:
    """Without its password."""
    return url.render_as_string(hide_password=True)


def first_line(error: BaseException) -> str:
    """Drivers add statements, hints and links in further lines."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _about_file(file: Path, said: str, url: URL) -> str:
    if any(sign in said.lower() for sign in DAMAGED):
        return f"the database {file.absolute()} is damaged ({said}): {NEW_ONE}"
    if "locked" in said:
        return f"the database {file.absolute()} is held by another process for longer than it should be: try again"
    return f"the database {shown(url)} cannot be opened: {said}; {_access_remedy(file, said)}"


def _access_remedy(file: Path, said: str) -> str:
    if any(sign in said for sign in FULL):
        return "see that its disk has room and is sound"
    if file.is_dir():
        return "it is a folder: move that away, or name a file in PRELABEL_DATABASE_URL"
    if (
        not os.access(file.parent, os.W_OK)
        or "readonly" in said
        or (file.exists() and not os.access(file, os.W_OK))
    ):
        return f"prelabel needs the right to write it and its folder: give it that, {ANOTHER}"
    return f"see what is there, {ANOTHER}"
