"""A database that cannot be used: one sentence with a remedy from every command, process and route, no traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from label_studio_stand_in import LabelStudioStandIn
from serving import Serving
from typer.testing import CliRunner
from weights_samples import small_checkpoint

from fbnetv3.weights import write_checkpoint
from prelabel.cli import app
from prelabel.settings import load_settings
from prelabel.store.database import Database, StoreError
from prelabel.store.events import record_event
from prelabel.store.promotions import serving_names
from prelabel.store.run_progress import claim, request_run
from prelabel.store.runs import list_runs
from prelabel.worker.run_process import run_process
from prelabel.worker.worker import store_errors_in_a_line

DAMAGED = r"^the database {} is damaged \((file is not a database|database disk image is malformed)\): put a copy of"


def filled(file: Path) -> None:
    """A database of many pages."""
    database = Database.open(f"sqlite:///{file}")
    for number in range(1, 40):
        request_run(database, number, "a test")
        record_event(
            database, f'"{number} {"x" * 2000}"', {"action": "TASKS_CREATED", "project": {"id": number}}
        )
    database.close()


def use(file: Path) -> None:
    """What every server does."""
    database = Database.open(f"sqlite:///{file}")
    try:
        list_runs(database)
        serving_names(database)
        request_run(database, 50, "a test")
        record_event(database, '"one more"', {})
    finally:
        database.close()


def keep_bytes(count: int) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[:count])


def keep_then_garbage(count: int) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[:count] + os.urandom(file.stat().st_size - count))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda file: file.write_bytes(os.urandom(8192)),
    "a text": lambda file: file.write_text("not a database"),
    "zeros": lambda file: file.write_bytes(bytes(8192)),
    "another format": lambda file: file.write_bytes(b"PK\x03\x04" + bytes(2000)),
    "a header": keep_bytes(100),
    "a page": keep_bytes(4096),
    "half": keep_bytes(50_000),
    "garbage after the header": keep_then_garbage(100),
    "garbage after a page": keep_then_garbage(4096),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_sentence_with_its_remedy(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "prelabel.sqlite3"
    filled(file)
    DAMAGES[damage](file)
    with pytest.raises(StoreError, match=DAMAGED.format(file)) as caught:
        use(file)
    assert "\n" not in str(caught.value)
    assert "move it away, with the -wal and -shm files beside it, and start again" in str(caught.value)


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "prelabel.sqlite3").touch()
    use(tmp_path / "prelabel.sqlite3")


def test_a_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="it is a folder: move that away, or name a file in PRELABEL_DATABASE_URL"
    ):
        use(tmp_path)


def test_a_file_in_the_way_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be opened: .*exists.*; see what is there, or name another"):
        use(tmp_path / "file" / "prelabel.sqlite3")


def test_a_disk_that_cannot_be_written_is_one_sentence_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "prelabel.sqlite3")
    monkeypatch.chdir(tmp_path)
    database = Database.open(f"sqlite:///file:{tmp_path}/prelabel.sqlite3?mode=ro&uri=true")
    assert not (tmp_path / "file:").exists()
    assert len(list_runs(database)) == 39
    with pytest.raises(
        StoreError, match="readonly database; prelabel needs the right to write it and its folder"
    ):
        request_run(database, 50, "a test")
    database.close()


@pytest.mark.parametrize("forbidden", ["the file", "the folder"])
def test_missing_rights_are_one_sentence(tmp_path: Path, forbidden: str) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    filled(folder / "prelabel.sqlite3")
    tmp_path.chmod(0o755)
    (folder / "prelabel.sqlite3").chmod(0o000 if forbidden == "the file" else 0o644)
    folder.chmod(0o755 if forbidden == "the file" else 0o555)
    url = f"sqlite:///{folder}/prelabel.sqlite3"
    program = (
        "import os, sys\n"
        "from prelabel.store.database import Database, StoreError\n"
        "from prelabel.store.run_progress import request_run\n"
        "if os.getuid() == 0: os.setgroups([]); os.setuid(65534)\n"
        f"try: request_run(Database.open({url!r}), 1, 'a test')\n"
        "except StoreError as error: sys.exit(str(error))\n"
    )
    for parent in folder.parents[:-2]:  # pytest's own folders are for its user alone
        if os.getuid() == 0:
            parent.chmod(0o755)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (
        "prelabel needs the right to write it and its folder: give it that, or name another one" in run.stderr
    )
    assert "Traceback" not in run.stderr


def test_a_transaction_that_lasts_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prelabel.store.database.BUSY_TIMEOUT_MS", 50)
    file = tmp_path / "prelabel.sqlite3"
    filled(file)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match="is held by another process for longer than it should be: try again"
        ):
            use(file)
        other.execute("ROLLBACK")
    other.close()
    use(file)


def test_a_server_that_is_away_is_one_sentence_without_the_password() -> None:
    with pytest.raises(
        StoreError, match=r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:9/x.* does not answer: "
    ) as caught:
        Database.open("postgresql+psycopg://me:hunter2@127.0.0.1:9/x?connect_timeout=2")
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_driver_is_one_sentence() -> None:
    with pytest.raises(StoreError, match=r"needs a driver that is not installed .*prelabel\[postgres\]"):
        Database.open("postgresql+psycopg2://me@host/x")


@pytest.fixture
def home(
    studio: LabelStudioStandIn, tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home whose database is damaged where only queries find it."""
    write_checkpoint(small_checkpoint(), tmp_path / "tiny.safetensors")
    variables = {
        "PRELABEL_HOME": str(tmp_path),
        "PRELABEL_WEIGHTS": str(tmp_path / "tiny.safetensors"),
        "LABEL_STUDIO_URL": studio.url,
        "LABEL_STUDIO_API_KEY": "legacy-token",
        "COLUMNS": "1000",
        "PORT": "28129",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return tmp_path


COMMANDS = [
    "serve",
    "worker",
    "runs list",
    "runs show 1",
    "runs log 1",
    "runs cancel 1",
    "versions list --project 7",
    "versions show p7-v1",
    "versions rollback --project 7",
    "versions export p7-v1 --out out",
    "train --project 7",
    "annotate --project 7",
    "queue refresh --project 7",
    "review --project 7",
    "doctor --project 7",
]


@pytest.mark.parametrize("damage", ["garbage", "a page"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_in_one_sentence(home: Path, command: str, damage: str) -> None:
    filled(home / "prelabel.sqlite3")
    DAMAGES[damage](home / "prelabel.sqlite3")
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert f"the database {home}/prelabel.sqlite3 is damaged" in result.output
    assert "Traceback" not in result.output


def test_the_server_answers_503_and_logs_a_line(
    serve: Callable[..., Serving],
    load: Callable[..., object],
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client: FlaskClient = serve(load).client
    file = Path(database.engine.url.database or "")
    database.close()
    file.write_bytes(os.urandom(8192))
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    answers = [
        client.get("/api/projects/7/runs"),
        client.get("/api/projects/7/versions"),
        client.post("/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 7}}),
        client.post("/setup", json={"project": "7.1", "schema": "<View/>"}),
    ]
    assert [answer.status_code for answer in answers] == [503] * 4
    assert all(f"the database {file} is damaged" in answer.json["error"] for answer in answers)
    assert "Traceback" not in caplog.text and caplog.text.count("is damaged") == 4
    assert client.get("/health").status_code == 200


def test_the_worker_logs_a_line_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path / "prelabel.sqlite3")
    DAMAGES["garbage"](tmp_path / "prelabel.sqlite3")
    with store_errors_in_a_line():
        use(tmp_path / "prelabel.sqlite3")
    assert "is damaged" in caplog.text and "Traceback" not in caplog.text


def test_a_run_whose_database_is_damaged_meanwhile_ends_with_a_line(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prelabel.worker.run_process.end_with_parent", lambda: None)
    monkeypatch.setattr("prelabel.worker.run_process.dictConfig", lambda _: None)
    monkeypatch.setenv("PRELABEL_TRAINING_NICE", "0")
    database = Database.open(load_settings().database_url)
    run = request_run(database, 7, "a test")
    claim(database, run.id)

    class Steps:
        def __init__(self, *_: object) -> None: ...

        def labelled_tasks(self) -> int:
            database.close()
            (home / "prelabel.sqlite3").write_bytes(os.urandom(8192))
            for beside in home.glob("prelabel.sqlite3-*"):
                beside.unlink()
            raise StoreError("the database is damaged")

    assert run_process(run.id, Steps) == 1  # type: ignore[arg-type]
    assert "is damaged" in caplog.text and "Traceback" not in caplog.text


def test_a_damaged_queue_is_one_sentence(home: Path) -> None:
    (home / "queue.sqlite3").write_bytes(os.urandom(8192))
    result = CliRunner().invoke(app, ["worker"])
    assert result.exit_code == 1
    assert (
        f"{home}/queue.sqlite3 cannot be opened: file is not a database; a damaged one can be moved away"
        in result.output
    )
