"""`prelabel serve` with its worker, as the tests of learning run it, and what they ask of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from prelabel.demo.service import Service
from prelabel.folders import LOG, project_folder
from prelabel.settings import Settings, as_environment

LIMIT_SECONDS = 120.0
ENDS = {"promoted", "rejected", "failed", "cancelled"}


@contextmanager
def learning_server(settings: Settings) -> Iterator[Service]:
    """Started and ready; stopped at the end."""
    command = [str(Path(sys.executable).with_name("prelabel")), "serve"]
    environment = {**os.environ, **as_environment(settings)}
    log = settings.prelabel_home.with_name("server.log")
    with Service(
        "prelabel", command, port=settings.port, environment=environment, log=log, health="/ready"
    ) as service:
        service.start()
        service.wait_until_ready(LIMIT_SECONDS)
        yield service


def runs_of(server: Service, project_id: int) -> list[dict[str, Any]]:
    """The newest first."""
    return requests.get(f"{server.url}/api/projects/{project_id}/runs", timeout=10).json()


def promoted_run(
    server: Service, settings: Settings, project_id: int, limit: float = LIMIT_SECONDS
) -> dict[str, Any]:
    """The project's first run, which starts by itself, after its end."""
    wait_until(lambda: runs_of(server, project_id), "a run that starts by itself")
    wait_until(lambda: runs_of(server, project_id)[-1]["state"] in ENDS, "its end", limit)
    run = runs_of(server, project_id)[-1]
    [log] = (project_folder(settings, project_id) / "runs").glob(f"{run['id']}-*/{LOG}")
    assert run["state"] == "promoted", f"{run['reason']}\n{log.read_text()}"
    return run


def served(server: Service, project_id: int | None = None) -> str:
    """The version that answers for the project; of the base weights where it is not given."""
    answer = requests.get(f"{server.url}/versions", params={"project": project_id}, timeout=10)
    return answer.json()["versions"][0]


def wait_until(is_so: Callable[[], object], what: str, limit: float = LIMIT_SECONDS) -> None:
    """Asks twice a second."""
    deadline = time.monotonic() + limit
    while not is_so():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.5)
