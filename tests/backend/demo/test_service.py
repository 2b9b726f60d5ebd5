"""Programs of the demo: started, waited for, watched and stopped for real, with Python's own HTTP server."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from prelabel.demo.service import Service, ServiceError, free_port, port_is_free

PREFERRED_PORT = 28145
FILE_SERVER = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")
WITH_A_CHILD = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


@contextmanager
def occupied(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def service(folder: Path, *command: str, port: int) -> Service:
    return Service("the server", command, port=port, environment=os.environ, log=folder / "logs" / "log")


@pytest.fixture
def port() -> int:
    return free_port(PREFERRED_PORT)


def test_it_answers_and_is_gone_after_its_block_with_its_children(tmp_path: Path, port: int) -> None:
    (tmp_path / "health").touch()
    serve = (*FILE_SERVER, "--directory", str(tmp_path), str(port))
    with service(tmp_path, sys.executable, "-c", WITH_A_CHILD, *serve, port=port) as server:
        server.start()
        server.wait_until_ready(limit=30)
        assert requests.get(f"{server.url}/health", timeout=5).ok
        server.check()
    assert _is_free_soon(port)
    assert "/health" in server.log.read_text()


def test_a_program_that_ends_by_itself_is_told_with_its_log(tmp_path: Path, port: int) -> None:
    with service(tmp_path, sys.executable, "-c", "raise SystemExit(7)", port=port) as server:
        server.start()
        with pytest.raises(ServiceError, match=rf"the server ended with exit code 7: see {server.log}\."):
            server.wait_until_ready(limit=30)


def test_a_program_that_never_answers_is_given_up(tmp_path: Path, port: int) -> None:
    with service(tmp_path, sys.executable, "-c", "import time; time.sleep(60)", port=port) as server:
        server.start()
        with pytest.raises(ServiceError, match="did not answer within 1 s"):
            server.wait_until_ready(limit=1)


def test_a_program_that_ignores_the_request_to_end_is_ended(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prelabel.demo.service.STOP_LIMIT_SECONDS", 0.5)
    server = service(tmp_path, sys.executable, "-c", STUBBORN, port=port)
    server.start()
    while not server.log.read_text():
        time.sleep(0.02)
    started = time.monotonic()
    server.stop()
    assert 0.5 <= time.monotonic() - started < 10


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path, port: int) -> None:
    server = service(tmp_path, "/does/not/matter", port=port)
    with occupied(port), pytest.raises(ServiceError, match=f"port {port} is taken"):
        server.start()
    assert not server.log.exists()


def test_a_missing_program_is_told_by_name(tmp_path: Path, port: int) -> None:
    with pytest.raises(ServiceError, match="/no/such/program: No such file or directory"):
        service(tmp_path, "/no/such/program", port=port).start()


def test_another_port_is_found_where_the_preferred_one_is_taken(port: int) -> None:
    with occupied(port):
        other = free_port(port)
        assert other != port and port_is_free(other)
    assert free_port(port) == port


def _is_free_soon(port: int) -> bool:
    """A killed process takes a moment to end."""
    deadline = time.monotonic() + 10
    while not port_is_free(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return port_is_free(port)
