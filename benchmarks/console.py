"""What the console costs: a first page, pages of a full store, memory, and predictions beside open pages.

    python benchmarks/console.py [--projects 100] [--versions 200] [--seconds 20]

A real `prelabel serve` with a filled store; each page is asked for as a browser does, over HTTP. Milliseconds are
medians, p99 is of all requests of a phase; phases with and without readers take turns.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measuring.processes import RunningServer, prelabel, web_server
from measuring.rounds import milliseconds
from measuring.traffic import post
from measuring.workload import POLYGONS, Workload, known_labels, write_pictures

from fbnetv3.judging import ImageOutcome, Judgement
from prelabel.store.database import Database
from prelabel.store.label_counts import note_project
from prelabel.store.run_progress import claim, finish, note_labels, request_run
from prelabel.store.runs import RunState
from prelabel.store.version_details import VersionJudgement, VersionPlan
from prelabel.store.versions import NewVersion, add_version

PATHS = ("", "projects/1", "projects/1/versions", "projects/1/runs", "changes")
#: Pages that are open, with the seconds between two refreshes of each.
OPEN = {"": 5.0, "projects/1": 3.0, "projects/1/versions": 3.0}
ROUNDS = 5
TOKEN = "benchmark"
JUDGED_IMAGES = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--projects", type=int, default=100)
    parser.add_argument(
        "--versions", type=int, default=200, help="of all projects together, the first has half"
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each phase")
    parser.add_argument("--weights", default="starter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prelabel-console-") as folder:
        home, pictures = Path(folder) / "home", Path(folder) / "pictures"
        pictures.mkdir()
        fill(home, options.projects, options.versions)
        names = write_pictures(pictures)
        with web_server(pictures) as address, prelabel(home, options.weights, 1) as server:
            workload = Workload([f"{address}/{name}" for name in names], known_labels(options.weights))
            measure(server, workload, options.seconds)


def measure(server: RunningServer, workload: Workload, seconds: float) -> None:
    """Print all figures."""
    before = server.resident_mb()
    first = milliseconds(lambda: page(server.port, ""))
    print(
        f"first page, with the import: {first:.0f} ms; memory {before:.0f} -> {server.resident_mb():.0f} MB"
    )
    for path in PATHS:
        times = [milliseconds(lambda path=path: page(server.port, path)) for _ in range(ROUNDS)]
        print(f"/console/{path:24} {statistics.median(times):6.0f} ms")
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += predictions(server, workload, seconds / ROUNDS)
        with readers(server.port):
            beside += predictions(server, workload, seconds / ROUNDS)
    for name, times in (("alone", alone), (f"{len(OPEN)} pages open", beside)):
        median, high = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"/predict, {name:14} {len(times):5} requests, median {median:4.0f} ms, p99 {high:4.0f} ms")


def predictions(server: RunningServer, workload: Workload, seconds: float) -> list[float]:
    """Milliseconds of requests of one task by two clients."""
    [body] = workload.bodies(POLYGONS, 1, 1)
    end = time.monotonic() + seconds

    def client(_: int) -> list[float]:
        times = []
        while time.monotonic() < end:
            times.append(milliseconds(lambda: post(server.port, "/predict", body)))
        return times

    with ThreadPoolExecutor(2) as pool:
        return [one for times in pool.map(client, range(2)) for one in times]


@contextmanager
def readers(port: int) -> Iterator[None]:
    """Open pages, made anew as browsers do."""
    closed = threading.Event()

    def read(path: str, seconds: float) -> None:
        while not closed.wait(seconds):
            page(port, path)

    with ThreadPoolExecutor(len(OPEN)) as pool:
        for path, seconds in OPEN.items():
            pool.submit(read, path, seconds)
        yield
        closed.set()


def page(port: int, path: str) -> None:
    """The content of a page, as a browser asks for it."""
    address = f"/console/{path}"
    body = {
        "output": "..page.children...title.children..",
        "outputs": [{"id": "page", "property": "children"}, {"id": "title", "property": "children"}],
        "inputs": [
            {"id": "url", "property": "pathname", "value": address},
            {"id": "changed", "property": "data", "value": None},
        ],
        "changedPropIds": ["url.pathname"],
    }
    headers = {
        "Content-Type": "application/json",
        "Cookie": f"_prelabel_csrf={TOKEN}",
        "X-Prelabel-CSRF": TOKEN,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/console/_dash-update-component", json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200 or b"cannot be shown" in content:
        raise SystemExit(f"{address}: {answer.status} {content[:200]!r}")


def fill(home: Path, projects: int, versions: int) -> None:
    """A store with so many projects and versions, each judged on JUDGED_IMAGES images."""
    home.mkdir()
    database = Database.open(f"sqlite:///{home / 'prelabel.sqlite3'}")
    for project_id in range(1, projects + 1):
        note_project(database, project_id)
    owners = [1] * (versions // 2) + [
        2 + number % max(projects - 1, 1) for number in range(versions - versions // 2)
    ]
    for number, project_id in enumerate(owners, 1):
        run = request_run(database, project_id, "labels")
        claim(database, run.id)
        note_labels(database, run.id, number)
        outcomes = tuple(ImageOutcome(10, 5, 7, 2) for _ in range(JUDGED_IMAGES))
        judged = Judgement(JUDGED_IMAGES, 300, 0.6, 0.4, 0.6, 0.4, 0.5, 2.0, outcomes)
        version = add_version(
            database,
            NewVersion(
                project_id, number, run.id, "d" * 12, None, "s" * 12, ("Disc",), VersionJudgement(judged),
                VersionPlan(), "Better: +1.0 s saved per image on 30 images.",
            ),
        )  # fmt: skip
        finish(database, run.id, RunState.REJECTED, version.reason, version.name)
    database.close()


if __name__ == "__main__":
    main()
