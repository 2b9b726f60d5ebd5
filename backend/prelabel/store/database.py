"""The database: SQLite by default, any other by its SQLAlchemy URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import DateTime, Dialect, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from prelabel.store.errors import StoreError as StoreError
from prelabel.store.errors import first_line, shown, worded
from prelabel.store.schema import SchemaError, bring_up_to_date

URI = "file:"
"""How a database begins that is named by SQLite's own URI, for options such as mode=ro."""

BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another one: several times what any transaction of prelabel takes."""


OURS = (IntegrityError, DataError, ProgrammingError)
"""Errors that say something of a statement and not of the database: callers expect them, or they are faults of ours."""


class Base(DeclarativeBase):
    """The tables of the store."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on the Python side, UTC without a zone in the database (SQLite has no zones)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Database:
    """One database; safe to share between threads, to be opened again in every process.

    A database that cannot be used, also one that turns out to be damaged at a query, raises StoreError.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, and bring the schema up to date; SQLite's folder is made where it is missing. Raises StoreError."""
        try:
            database = cls(create_engine(url))
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(f"PRELABEL_DATABASE_URL cannot be used: {first_line(error)}") from error
        except ImportError as error:
            raise StoreError(
                f"PRELABEL_DATABASE_URL needs a driver that is not installed ({error}): for PostgreSQL, "
                '`pip install "prelabel[postgres]"` and begin the URL with postgresql+psycopg://'
            ) from error
        try:
            database._prepare()
        except StoreError:
            database.close()
            raise
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
        event.listen(self.engine, "handle_error", _in_one_sentence, retval=True)
        try:
            if self.engine.dialect.name == "sqlite":
                self._prepare_sqlite()
            bring_up_to_date(self.engine, Base.metadata)
        except SchemaError as error:
            raise StoreError(f"the database {shown(self.engine.url)} cannot be opened: {error}") from error
        except OSError as error:
            raise worded(self.engine.url, error) from error

    def _prepare_sqlite(self) -> None:
        file = self.engine.url.database
        if file and not file.startswith(URI):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        event.listen(self.engine, "connect", self._configure_sqlite)

    def _configure_sqlite(self, connection: sqlite3.Connection, _record: object) -> None:
        """WAL: readers do not wait for the writer. NORMAL: no fsync per commit, and with WAL still safe."""
        pragmas = (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        )
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise worded(self.engine.url, error) from error


def _in_one_sentence(context: ExceptionContext) -> BaseException | None:
    """What to raise in place of an error of the driver; None: what SQLAlchemy makes of it."""
    error = context.sqlalchemy_exception
    if (
        not isinstance(error, (DatabaseError, InterfaceError))
        or isinstance(error, OURS)
        or context.engine is None
    ):
        return None
    return worded(context.engine.url, context.original_exception)
