"""Start, /predict and /webhook of a real server, over HTTP."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

import numpy as np

from measuring.processes import RunningServer, prelabel, web_server
from measuring.rounds import alternate, milliseconds
from measuring.sheets import Sheet
from measuring.traffic import Load, get, load, post
from measuring.workload import KINDS, POLYGONS, Workload, known_labels, webhooks, write_pictures

CLIENTS = (1, 2, 4, 8)
PREDICTING_CLIENTS = 4
OTHERS_PER_ROUND = 40
#: Seconds between two of the other requests: a team that labels fast.
PAUSE = 0.02
#: Of one task each; the median counts.
CALLS_OF_ENGINES = 9
STARTS = 3
#: Of one request that compares the kinds of region.
KIND_TASKS = 20

PREDICT, WEBHOOK, HEALTH = "/predict", "/webhook", "/health"


def measure(folder: Path, weights: str, threads: int | None, tasks: int, rounds: int) -> Iterator[Sheet]:
    """All tables of the server; `tasks` are predicted in each measurement."""
    labels = known_labels(weights)
    pictures = folder / "pictures"
    pictures.mkdir()
    names = write_pictures(pictures)
    yield _starts(folder, weights, threads)
    with ExitStack() as stack:
        address = stack.enter_context(web_server(pictures))
        workload = Workload([f"{address}/{name}" for name in names], labels)
        server = stack.enter_context(prelabel(folder / "onnxruntime", weights, threads))
        _check(server, workload)
        yield _clients(server, workload, tasks, rounds)
        yield _kinds(server, workload, rounds)
        yield _webhooks(server, workload, rounds)
        torch = stack.enter_context(prelabel(folder / "torch", weights, threads, "torch"))
        yield _engines({"onnxruntime": server, "torch": torch}, workload, rounds)


def _starts(folder: Path, weights: str, threads: int | None) -> Sheet:
    sheet = Sheet("Start from a cached export", ("start", "first answer, s", "ready, s", "resident, MB"))
    for number in range(STARTS):
        with prelabel(folder / "start", weights, threads) as server:
            sheet.add(str(number + 1), server.answered_after, server.ready_after, server.resident_mb())
    return sheet


def _check(server: RunningServer, workload: Workload) -> None:
    """Warm the server up; ends the program where it finds nothing, or not what the measurements are about."""
    for kind in KINDS:
        [body] = workload.bodies(kind, KIND_TASKS, 1)
        results = json.loads(post(server.port, PREDICT, body))["results"]
        if not any(result["result"] for result in results):
            raise SystemExit(f"the server finds nothing in {len(results)} pictures, as {kind}")


def _clients(server: RunningServer, workload: Workload, tasks: int, rounds: int) -> Sheet:
    """Each request opens a connection; a batch is one request with the client's share of the tasks."""
    bodies = {requests: workload.bodies(POLYGONS, tasks, requests) for requests in {tasks, *CLIENTS}}
    single: dict[int, list[Load]] = {clients: [] for clients in CLIENTS}
    batches: dict[int, list[Load]] = {clients: [] for clients in CLIENTS}
    for _ in range(rounds):
        for clients in CLIENTS:
            single[clients].append(load(server.port, PREDICT, bodies[tasks], clients))
            batches[clients].append(load(server.port, PREDICT, bodies[clients], clients))
    sheet = Sheet(
        f"/predict of {tasks} tasks, polygons",
        ("clients", "one by one, tasks/s", "median, ms", "p99, ms", "a batch per client, tasks/s"),
    )
    for clients in CLIENTS:
        one_by_one = [one for seen in single[clients] for one in seen.milliseconds]
        sheet.add(
            str(clients),
            _rate(tasks, single[clients]),
            float(np.percentile(one_by_one, 50)),
            float(np.percentile(one_by_one, 99)),
            _rate(tasks, batches[clients]),
        )
    return sheet


def _rate(tasks: int, loads: Sequence[Load]) -> float:
    """Tasks per second, the median of the rounds."""
    return tasks / statistics.median(one.seconds for one in loads)


def _kinds(server: RunningServer, workload: Workload, rounds: int) -> Sheet:
    bodies = {kind: workload.bodies(kind, KIND_TASKS, 1)[0] for kind in KINDS}
    timed = alternate(
        {kind: _asking(server, PREDICT, [body]) for kind, body in bodies.items()}, rounds, calls=1
    )
    sheet = Sheet(
        f"Kinds of region: one request of {KIND_TASKS} tasks",
        ("kind", "ms per task", "over boxes", "regions per task", "kB per task"),
    )
    for kind, body in bodies.items():
        answer = post(server.port, PREDICT, body)
        results = json.loads(answer)["results"]
        regions = sum(len(result["result"]) for result in results)
        count = len(results)
        sheet.add(
            kind,
            timed.median(kind) / count,
            timed.ratio(kind, KINDS[0]),
            regions / count,
            len(answer) / count / 1e3,
        )
    return sheet


def _webhooks(server: RunningServer, workload: Workload, rounds: int) -> Sheet:
    sheet = Sheet(
        f"Other requests while {PREDICTING_CLIENTS} clients predict",
        ("request", "count", "median, ms", "p99, ms", "max, ms"),
    )
    count = rounds * OTHERS_PER_ROUND
    deliver = _asking(server, WEBHOOK, webhooks(2 * count))

    def add(name: str, request: Callable[[], object]) -> None:
        seen = np.array(_paced(request, count))
        sheet.add(name, count, *(float(np.percentile(seen, share)) for share in (50, 99, 100)))

    add("webhook, nobody predicts", deliver)
    with _predicting(server, workload):
        add("webhook", deliver)
        add("health", lambda: get(server.port, HEALTH))
    return sheet


def _paced(request: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of each, with pauses between."""
    found = []
    for _ in range(count):
        found.append(milliseconds(request))
        time.sleep(PAUSE)
    return found


@contextmanager
def _predicting(server: RunningServer, workload: Workload) -> Iterator[None]:
    """Clients that ask for one task after the other, all the time."""
    bodies = workload.bodies(POLYGONS, len(workload.urls), len(workload.urls))
    stop = threading.Event()

    def keep_asking() -> None:
        for body in cycle(bodies):
            if stop.is_set():
                return
            post(server.port, PREDICT, body)

    with ThreadPoolExecutor(PREDICTING_CLIENTS) as pool:
        asking = [pool.submit(keep_asking) for _ in range(PREDICTING_CLIENTS)]
        time.sleep(1)
        try:
            yield
        finally:
            stop.set()
    for one in asking:
        one.result()


def _engines(servers: Mapping[str, RunningServer], workload: Workload, rounds: int) -> Sheet:
    """One task at a time, the servers in turn; both are up, the one that is not asked sleeps."""
    bodies = workload.bodies(POLYGONS, len(workload.urls), len(workload.urls))
    timed = alternate(
        {name: _asking(server, PREDICT, bodies) for name, server in servers.items()}, rounds, CALLS_OF_ENGINES
    )
    sheet = Sheet(
        "One task over HTTP, polygons",
        ("engine", "ms", "over onnxruntime", "first answer, s", "ready, s", "resident, MB"),
    )
    for name, server in servers.items():
        sheet.add(
            name,
            timed.median(name),
            timed.ratio(name, "onnxruntime"),
            server.answered_after,
            server.ready_after,
            server.resident_mb(),
        )
    return sheet


def _asking(server: RunningServer, path: str, bodies: Sequence[bytes]) -> Callable[[], object]:
    """A function that sends the next of these bodies, the first after the last."""
    turn = cycle(bodies)
    return lambda: post(server.port, path, next(turn))
