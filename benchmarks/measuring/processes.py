"""A real `prelabel serve` and a web server with pictures, each a process that is stopped in the end."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fbnetv3.weights.folders import default_folder
from measuring.traffic import get
from prelabel.settings import Settings, environment_name

#: Seconds to wait for a server: a first start exports the weights.
PATIENCE = 300
STOPPING = 40
RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class RunningServer:
    """A `prelabel serve` that is ready; seconds from its start to its first answer and to its model."""

    process_id: int
    port: int
    answered_after: float
    ready_after: float

    def resident_mb(self) -> float:
        """Resident memory of its one worker, as its metrics say (on Linux)."""
        found = RESIDENT.search(get(self.port, "/metrics").decode())
        if found is None:
            raise SystemExit("this system does not tell a process's memory")
        return float(found[1]) / 1e6


@contextmanager
def prelabel(
    home: Path, weights: str, threads: int | None, engine: str = "onnxruntime", **others: str
) -> Iterator[RunningServer]:
    """`prelabel serve`, with nothing of this environment's settings but the folders of weights.

    It keeps no images, so that every request fetches, and has no worker. `others`: settings by their environment
    names, which override all of this.
    """
    home.mkdir(exist_ok=True)
    settings = {
        "PRELABEL_HOME": str(home),
        "MODEL_DIR": str(default_folder()),
        "PRELABEL_WEIGHTS": weights,
        "PRELABEL_ENGINE": engine,
        "PRELABEL_ALLOW_PRIVATE_ADDRESSES": "true",
        "PRELABEL_IMAGE_CACHE_BYTES": "0",
        "PRELABEL_WORKER": "false",
        "LOG_LEVEL": "WARNING",
        **({"PRELABEL_INFERENCE_THREADS": str(threads)} if threads else {}),
        **others,
    }
    port = _free_port()
    command = [str(Path(sys.executable).with_name("prelabel")), "serve", "--port", str(port)]
    started = time.monotonic()
    with _running(command, home / "log", {**clean_environment(), **settings}) as process:
        answered = _wait(port, "/health", process, home / "log") - started
        ready = _wait(port, "/ready", process, home / "log") - started
        yield RunningServer(process.pid, port, answered, ready)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The files in `folder` over HTTP; gives the address."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
        str(port),
    ]
    with _running(command, folder / "log", dict(os.environ)) as process:
        _wait(port, "/", process, folder / "log")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> float:
    """The time at which `path` is answered with 200."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            get(port, path)
        except OSError:
            time.sleep(0.01)
        else:
            return time.monotonic()
    raise SystemExit(f"nothing answers {path} of port {port}: {log.read_text()[-500:]}")


def clean_environment() -> dict[str, str]:
    """This environment without settings of prelabel."""
    ours = {environment_name(name) for name in Settings.model_fields} - {"PRELABEL_WEIGHTS_DIR"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {"NO_PROXY": "127.0.0.1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
