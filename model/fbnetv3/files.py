"""Files: written as a whole or not at all, whatever happens meanwhile, and told apart by their content."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def write_whole(content: bytes, path: Path) -> None:
    """Make `content` the file's, which at any time holds either the old one or this, also after a power cut.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
