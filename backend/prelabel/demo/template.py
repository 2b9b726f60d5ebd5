"""Label Studio data folders with their migrations done, copied to spare the next one that time."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "label_studio.sqlite3"


def has_database(data: Path) -> bool:
    """Whether this data folder has a database."""
    return (data / DATABASE).exists()


def copy_data(source: Path, target: Path) -> None:
    """Copy a data folder, also while Label Studio uses it; the database appears last and whole."""
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
    partial = target / f".{DATABASE}-{os.getpid()}"
    with closing(sqlite3.connect(source / DATABASE)) as original, closing(sqlite3.connect(partial)) as copy:
        original.backup(copy)
    partial.replace(target / DATABASE)
