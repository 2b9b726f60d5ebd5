"""The schema of the database: made when there is none, brought up to date by the revisions in migrations/.

Every process opens the database, several at the same moment. Where nothing is to be done, that is two queries, and
Alembic is not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from prelabel.errors import PrelabelError
from prelabel.store.errors import first_line

HEAD = "0006"
"""The newest revision in migrations/versions, so that it need not be asked of Alembic."""

VERSION_TABLE = "prelabel_schema_version"
"""Not Alembic's own name: a database that several programs share may have theirs."""

MIGRATION_LOCK = 0x7072656C
"""PostgreSQL's advisory locks have numbers; this one is "prel"."""

MIGRATION_WAIT_MS = 120_000
"""How long SQLite waits while another process migrates: copying a large table takes a while."""


class SchemaError(PrelabelError):
    """The database has a schema that no revision leads from; the message says what is so, and what to do."""


def bring_up_to_date(engine: Engine, tables: MetaData) -> None:
    """Give the database the schema of `tables`, keeping what is in it.

    Raises SchemaError.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with _only_migration(engine) as connection:
        if _revision(connection) == HEAD:  # another process was quicker
            return
        if _is_new(connection, tables):
            _create(connection, tables)
        else:
            _migrate(connection)
            _check_columns(connection, tables)


def _revision(connection: Connection) -> str | None:
    """None where the database knows of no migrations."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return revision


def _is_new(connection: Connection, tables: MetaData) -> bool:
    return not {VERSION_TABLE, *tables.tables} & set(inspect(connection).get_table_names())


def _create(connection: Connection, tables: MetaData) -> None:
    """What all revisions lead to, a test holds that; without Alembic, whose loading takes as long as a first start."""
    tables.create_all(connection)
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:head)"), {"head": HEAD})


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise SchemaError(
            f"its tables are another program's or damaged ({first_line(error)}): name another database in "
            "PRELABEL_DATABASE_URL"
        ) from error
    except CommandError as error:
        raise SchemaError(
            f"it has the schema {_revision(connection)!r} of a newer prelabel: install that one again, or name another "
            "database in PRELABEL_DATABASE_URL"
        ) from error


def _check_columns(connection: Connection, tables: MetaData) -> None:
    """A table that was there before migrations may be anybody's."""
    for name, table in tables.tables.items():
        present = {column["name"] for column in inspect(connection).get_columns(name)}
        if missing := sorted(set(table.columns.keys()) - present):
            raise SchemaError(
                f"its table {name!r} has no column {missing[0]!r}, so another program or an unfinished prelabel made "
                "it: name another database in PRELABEL_DATABASE_URL"
            )


@contextmanager
def _only_migration(engine: Engine) -> Iterator[Connection]:
    """One transaction that holds all or nothing, and waits for the migration of another process."""
    if engine.dialect.name == "sqlite":
        with _only_writer(engine) as connection:
            yield connection
        return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        yield connection


@contextmanager
def _only_writer(engine: Engine) -> Iterator[Connection]:
    """Foreign keys are off: SQLite changes a table by replacing it, which must not touch the rows that refer to it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        waited = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {MIGRATION_WAIT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        finally:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {waited}")
