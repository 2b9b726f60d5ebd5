"""A program that serves HTTP on this machine: started, waited for, stopped together with its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from prelabel.errors import PrelabelError

LOOPBACK = "127.0.0.1"
START_LIMIT_SECONDS = 600.0
"""A first start of Label Studio takes up to 100 s on two cores; a busy machine needs a multiple of that."""

STOP_LIMIT_SECONDS = 5.0
POLL_SECONDS = 0.2


class ServiceError(PrelabelError):
    """A service cannot be used; the message is one sentence that names the cause and where to look."""


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: int) -> int:
    """`preferred` where it is free, else a port that the operating system picks."""
    if port_is_free(preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def bypass_proxies() -> None:
    """Let this process and the programs that it starts reach loopback where a proxy is set for everything."""
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{exceptions},{LOOPBACK}" if exceptions else LOOPBACK


class Service:
    """One program in a process group of its own, so that Ctrl-C in the terminal reaches only its owner.

    `health`: the path that answers 200 once the program can be used. `log`: gets what it prints, after that
    of earlier runs. As a context manager: stopped at the end, whether it was started or not.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str],
        log: Path,
        health: str = "/health",
    ) -> None:
        self.name = name
        self.port = port
        self.log = log
        self.url = f"http://{LOOPBACK}:{port}"
        self._command = list(command)
        self._environment = dict(environment)
        self._health = health
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program and return at once.

        Raises ServiceError where the port is taken or the program cannot be run.
        """
        if not port_is_free(self.port):
            raise ServiceError(f"{self.name} cannot start: port {self.port} is taken by another program.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServiceError(
                    f"{self.name} cannot start: {self._command[0]}: {error.strerror}."
                ) from error

    def wait_until_ready(self, limit: float = START_LIMIT_SECONDS) -> None:
        """Return when the health path answers 200.

        Raises ServiceError where the program ended or does not answer within `limit` seconds.
        """
        deadline = time.monotonic() + limit
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} did not answer within {limit:.0f} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raises ServiceError where the program has ended by itself."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise ServiceError(f"{self.name} ended with exit code {code}: see {self.log}.")

    def stop(self) -> None:
        """Ask the program to end, then end what is left of it and of its children."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()  # not the whole group: gunicorn's workers hang when both it and we ask them
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        try:
            return requests.get(self.url + self._health, timeout=2).status_code == HTTPStatus.OK
        except requests.RequestException:
            return False
