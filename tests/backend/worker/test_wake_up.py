"""What wakes the worker: SQLite, Redis by URL, and what happens where that cannot be used."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
from huey import RedisHuey, SqliteHuey
from redis import Redis
from redis.exceptions import RedisError
from serving import free_port

from prelabel.settings import SettingsError, load_settings
from prelabel.store.database import Database
from prelabel.store.run_progress import claim
from prelabel.store.runs import RunState
from prelabel.worker.wake_up import WakeUpError, WakeUpMessages, open_huey, request_and_wake
from prelabel.worker.worker import work

pytestmark = pytest.mark.usefixtures("bare_environment")


def test_a_message_from_one_process_wakes_the_work_of_another(tmp_path: Path) -> None:
    worked = threading.Event()
    sender = WakeUpMessages(load_settings(prelabel_home=tmp_path))
    receiver = WakeUpMessages(load_settings(prelabel_home=tmp_path), worked.set)
    sender.send()
    task = receiver.huey.dequeue()
    assert not worked.is_set()
    receiver.huey.execute(task)
    assert worked.is_set()
    assert receiver.huey.dequeue() is None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis of its own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis is installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        wait_until(Redis.from_url(url, retry=None).ping, "Redis", RedisError)
        yield url
    finally:
        server.terminate()
        server.wait()


def wait_until(answers: Callable[[], object], what: str, unless: type[Exception]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(unless):
            answers()
            return
        time.sleep(0.05)
    pytest.fail(f"{what} does not answer")


def test_a_message_wakes_the_work_of_another_process_through_redis_too(redis: str) -> None:
    worked = threading.Event()
    settings = load_settings(prelabel_queue_url=redis)
    sender, receiver = WakeUpMessages(settings), WakeUpMessages(settings, worked.set)
    receiver.check()
    sender.send()
    receiver.huey.execute(receiver.huey.dequeue())
    assert worked.is_set()
    assert receiver.huey.pending_count() == 0


def test_a_request_wakes_the_worker(tmp_path: Path, database: Database) -> None:
    messages = WakeUpMessages(load_settings(prelabel_home=tmp_path))
    run = request_and_wake(database, messages, 7, "command")
    assert (run.state, run.requested_by, messages.huey.pending_count()) == (RunState.QUEUED, "command", 1)
    assert claim(database, run.id)
    assert request_and_wake(database, messages, 7, "command").id != run.id


def test_sqlite_is_the_default_and_lies_under_the_home(tmp_path: Path) -> None:
    assert isinstance(open_huey(load_settings(prelabel_home=tmp_path / "new")), SqliteHuey)
    assert (tmp_path / "new" / "queue.sqlite3").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    with pytest.raises(WakeUpError, match=r"^/proc/none/queue\.sqlite3 cannot be opened"):
        open_huey(load_settings(prelabel_home=Path("/proc/none")))


def test_redis_that_is_away_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    messages = WakeUpMessages(load_settings(prelabel_queue_url="redis://:hunter2@127.0.0.1:9/0"))
    assert isinstance(messages.huey, RedisHuey)
    messages.send()
    assert "the worker could not be woken (ConnectionError)" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_worker_does_not_start_without_its_redis(tmp_path: Path) -> None:
    url = "redis://:hunter2@127.0.0.1:9/0"
    with pytest.raises(WakeUpError) as caught:
        work(load_settings(prelabel_home=tmp_path, prelabel_queue_url=url))
    assert str(caught.value) == (
        "the Redis of PRELABEL_QUEUE_URL, which wakes the worker, does not answer: ConnectionError"
    )


def test_an_outage_is_one_line_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    messages = WakeUpMessages(load_settings(prelabel_queue_url="redis://:hunter2@127.0.0.1:9/0"))
    messages.log_outages_in_a_line()
    log = logging.getLogger("huey.consumer.Worker")
    for _ in range(3):
        try:
            messages.huey.dequeue()
        except RedisError:
            log.exception("Error reading from queue")
    assert (
        caplog.messages == ["the messages that wake the worker cannot be read: ConnectionError"]
        and caplog.records[0].exc_info is None
    )


def test_redis_without_its_client_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(WakeUpError, match="whose client is not installed: pip install redis"):
        open_huey(load_settings(prelabel_queue_url="redis://localhost"))


def test_another_broker_than_redis_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_QUEUE_URL", "amqp://user:hunter2@host")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == "PRELABEL_QUEUE_URL must be a redis:// or rediss:// URL"


def test_a_message_of_an_older_release_wakes_the_work(tmp_path: Path) -> None:
    def train() -> None: ...

    train.__module__ = "prelabel.jobs.queue"
    older = open_huey(load_settings(prelabel_home=tmp_path))
    older.task()(train)()
    worked = threading.Event()
    receiver = WakeUpMessages(load_settings(prelabel_home=tmp_path), worked.set)
    receiver.huey.execute(receiver.huey.dequeue())
    assert worked.is_set()


def test_a_file_of_messages_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = WakeUpMessages(load_settings(prelabel_home=tmp_path))
    monkeypatch.setattr(messages.huey, "pending_count", Mock(side_effect=sqlite3.OperationalError("locked")))
    with pytest.raises(
        WakeUpError, match=rf"^{tmp_path}/queue.sqlite3, which wakes the worker, does not answer: "
    ):
        messages.check()
