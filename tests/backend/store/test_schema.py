"""The schema: made, brought up to date with what is in it, and refused, on SQLite and PostgreSQL."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from prelabel.store import migrations, schema
from prelabel.store.database import Base, Database, StoreError
from prelabel.store.run_progress import claim, finish, request_run
from prelabel.store.runs import NewLabels, RunState, list_runs, new_labels, queued_run, retries_due
from prelabel.store.versions import project_versions, serving_version

BEFORE = Path(__file__).with_name("schema_before_migrations.sql").read_text(encoding="utf-8")
PROCESSES = 8


def execute(url: str, script: str) -> None:
    engine = create_engine(url)
    if engine.dialect.name == "postgresql":
        script = (
            script.replace("DATETIME", "TIMESTAMP")
            .replace("DOUBLE", "DOUBLE PRECISION")
            .replace("    id INTEGER", "    id SERIAL")
        )
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def opened(url: str) -> None:
    Database.open(url).close()


def differences(engine: Engine) -> list[object]:
    options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT version_num FROM {schema.VERSION_TABLE}"))


def test_the_newest_revision_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_a_new_database_has_the_tables_of_the_models(url: str) -> None:
    database = Database.open(url)
    assert (revision(database.engine), differences(database.engine)) == (schema.HEAD, [])
    database.close()


def test_the_revisions_lead_to_the_tables_of_the_models(url: str) -> None:
    execute(url, f"CREATE TABLE {schema.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    database = Database.open(url)
    assert (revision(database.engine), differences(database.engine)) == (schema.HEAD, [])
    request_run(database, 3, "a test")
    database.close()


def test_a_database_without_migrations_keeps_what_is_in_it(url: str) -> None:
    execute(url, BEFORE)
    engine = create_engine(url)
    present = inspect(engine)
    columns = {name: [c["name"] for c in present.get_columns(name)] for name in present.get_table_names()}
    with engine.connect() as connection:
        before = {
            name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}"))), key=str)
            for name in columns
        }
    database = Database.open(url)
    with engine.connect() as connection:
        for name, kept in columns.items():
            chosen = ", ".join(f'"{column}"' for column in kept)
            rows = sorted(map(tuple, connection.execute(text(f"SELECT {chosen} FROM {name}"))), key=str)
            assert rows == before[name]
            assert len(rows) == 2
    assert (revision(engine), differences(engine)) == (schema.HEAD, [])
    serving, queued = serving_version(database, 3), queued_run(database, 3)
    assert serving and serving.name == "p3-v1" and serving.labels == ("apple", "banana")
    assert queued and queued.requested_by == "Start Training"
    assert request_run(database, 4, "a test").id == 3
    database.close()
    opened(url)
    engine.dispose()


def test_runs_of_before_retries_go_on_and_take_no_labels_with_them(url: str) -> None:
    execute(url, BEFORE)
    execute(url, "UPDATE label_counts SET accepted = 5 WHERE project_id = 3")
    database = Database.open(url)
    queued = queued_run(database, 3)
    assert queued and (queued.counted, queued.retry_at) == (None, None)
    assert claim(database, queued.id) and retries_due(database, datetime.now(UTC)) == []
    assert finish(database, queued.id, RunState.PROMOTED, "its labels were read before the upgrade")
    assert new_labels(database, 3) == NewLabels(5, decided_on=20, read=20)
    database.close()


def test_a_table_that_an_older_prelabel_did_not_have_is_made(url: str) -> None:
    execute(url, BEFORE + "DROP TABLE promotions;\nDROP TABLE review_findings;\n")
    database = Database.open(url)
    assert differences(database.engine) == []
    assert [version.name for version in project_versions(database, 3)] == ["p3-v1", "p3-v2"]
    database.close()


def test_a_database_of_a_newer_prelabel_is_one_sentence(url: str) -> None:
    opened(url)
    execute(url, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(
        StoreError, match=r"has the schema '9999' of a newer prelabel: install that one again, or "
    ) as error:
        Database.open(url)
    assert "\n" not in str(error.value)


def test_tables_of_another_program_are_one_sentence_and_stay(url: str) -> None:
    execute(url, "CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL)")
    with pytest.raises(StoreError):
        Database.open(url)
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == ["runs"]
    engine.dispose()


def test_versions_of_another_program_in_the_database_are_no_matter(url: str) -> None:
    execute(
        url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version VALUES ('theirs')".replace(
            "; ", ";\n"
        ),
    )
    database = Database.open(url)
    request_run(database, 3, "a test")
    database.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(url, BEFORE + "DROP TABLE promotions;\n")

    def fail(*_: object) -> None:
        raise StoreError("no")

    monkeypatch.setattr(schema, "_check_columns", fail)
    with pytest.raises(StoreError, match="no"):
        Database.open(url)
    engine = create_engine(url)
    names = inspect(engine).get_table_names()
    engine.dispose()
    assert "promotions" not in names and schema.VERSION_TABLE not in names
    monkeypatch.undo()
    opened(url)


@pytest.mark.parametrize("has_tables", [False, True], ids=["new", "without migrations"])
def test_processes_that_open_it_at_once_do_not_disturb_each_other(url: str, has_tables: bool) -> None:
    if has_tables:
        execute(url, BEFORE)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=opened, args=(url,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    engine = create_engine(url)
    assert (revision(engine), differences(engine)) == (schema.HEAD, [])
    engine.dispose()


def test_sqlite_gets_its_own_waiting_and_foreign_keys_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/prelabel.sqlite3"
    execute(url, BEFORE)
    database = Database.open(url)
    with database.session() as session:
        pragmas = [session.scalar(text(f"PRAGMA {name}")) for name in ("busy_timeout", "foreign_keys")]
    assert pragmas == [5000, 1]
    assert len(list_runs(database)) == 2
    database.close()


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "current"])
def test_alembic_is_not_loaded_where_there_is_nothing_to_migrate(tmp_path: Path, is_new: bool) -> None:
    url = f"sqlite:///{tmp_path}/prelabel.sqlite3"
    if not is_new:
        opened(url)
    program = (
        "import sys; from prelabel.store.database import Database; "
        f"Database.open({url!r}).close(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
