"""The database: SQLite by default, any other by its SQLAlchemy URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from prelabel.store.errors import StoreError as StoreError
from prelabel.store.schema import bring_up_to_date

BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another one: several times what any transaction of prelabel takes."""


class Base(DeclarativeBase):
    """The tables of the store."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on the Python side, UTC without a zone in the database (SQLite has no zones)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Database:
    """One database; safe to share between threads, to be opened anew in every process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, and bring the schema up to date; SQLite's folder is made where it is missing. Raises StoreError."""
        try:
            database = cls(create_engine(url))
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise StoreError(f"PRELABEL_DATABASE_URL cannot be used: {_first_line(error)}") from error
        database._prepare()
        return database

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back by an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()

    def _prepare(self) -> None:
        try:
            if self.engine.dialect.name == "sqlite":
                self._prepare_sqlite()
            bring_up_to_date(self.engine, Base.metadata)
        except (SQLAlchemyError, OSError, StoreError) as error:
            shown = self.engine.url.render_as_string(hide_password=True)
            raise StoreError(f"the database {shown} cannot be opened: {_first_line(error)}") from error

    def _prepare_sqlite(self) -> None:
        if file := self.engine.url.database:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        event.listen(self.engine, "connect", _configure_sqlite)


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """WAL: readers do not wait for the writer. NORMAL: no fsync per commit, and with WAL still safe."""
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
