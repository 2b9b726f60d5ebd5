"""Submit to an answer with the new label, through a real server, its worker and the process that learns."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from fbnetv3.data.coco import CocoExamples
from fbnetv3.simulation import ReplayData
from measuring.label_studio import PROJECT, TOKEN, LabelledProject, label_studio
from measuring.processes import RunningServer, prelabel
from measuring.rounds import alternate
from measuring.sheets import Sheet
from measuring.traffic import get, post
from measuring.workload import Workload, known_labels

#: Seconds between two looks at what answers, after an answer until the next label, and for any version at all.
LOOK = 0.02
PAUSE = 4.0
PATIENCE = 120.0
CALLS = 5
MAKING = "prelabel.worker.provisional"
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
#: A project of the same config without a label: the base weights answer for it.
UNLABELLED = 2


class GrowingProject(LabelledProject):
    """Of its tasks, the first `accepted` are labelled."""

    def __init__(self, examples: CocoExamples) -> None:
        super().__init__(examples, range(1, len(examples) + 1))
        self.accepted = 0

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        """To a request, as JSON."""
        found = super().answer(method, path, query, body)
        if path.endswith("/export"):
            return found[: self.accepted]
        if isinstance(found, dict) and "label_config" in found:
            found |= {"num_tasks_with_annotations": self.accepted, "sampling": "Sequential sampling"}
        return found


def measure(folder: Path, weights: str, data: ReplayData, images: int, rounds: int) -> Iterator[Sheet]:
    """Label after label; then /predict of a provisional version and of the base weights in turns; the memory."""
    project = GrowingProject(data.of(data.pool[: images + 1]))
    with label_studio(project) as address:
        settings = {"LABEL_STUDIO_URL": address, "LABEL_STUDIO_API_KEY": TOKEN, "PRELABEL_TRAIN_EVERY": "0"}
        with prelabel(folder / "home", weights, None, PRELABEL_WORKER="true", **settings) as server:
            before = server.resident_mb()
            yield _labels(server, project, images)
            making = _memory()
            yield _cost(server, project, known_labels(weights), rounds)
            memory = Sheet("Memory, MB", ("process", "before", "after", "peak"))
            memory.add("server", before, server.resident_mb(), None)
            memory.add("the process that learns", None, *making)
    yield memory


def _labels(server: RunningServer, project: GrowingProject, images: int) -> Sheet:
    sheet = Sheet(
        f"From Submit to an answer of the version that has learnt it, {project.kind}, seconds",
        ("labels", "median", "least", "most"),
    )
    seconds = []
    for number in range(1, images + 1):
        seconds.append(_submit(server, project, number))
        time.sleep(PAUSE)
    sheet.add("the first: a process is started", seconds[0], None, None)
    later = seconds[1:]
    half = len(later) // 2
    for what, some in ((f"2 to {1 + half}", later[:half]), (f"{2 + half} to {images}", later[half:])):
        if some:
            sheet.add(what, statistics.median(some), min(some), max(some))
    return sheet


def _submit(server: RunningServer, project: GrowingProject, number: int) -> float:
    """Seconds until /predict, asked for the last image, answers with another version than before."""
    body = _body(project, PROJECT, len(project.images) - 1, project.config)
    before = _answering(server)
    event = {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": number, "was_cancelled": False},
        "project": {"id": PROJECT, "num_tasks_with_annotations": number},
    }
    project.accepted = number
    started = time.monotonic()
    post(server.port, "/webhook", json.dumps(event).encode())
    while (version := _answering(server)) == before:
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"label {number} never became a provisional version")
        time.sleep(LOOK)
    [result] = json.loads(post(server.port, "/predict", body))["results"]
    if result["model_version"] != version:
        raise SystemExit(f"/predict answers with {result['model_version']}, not with {version}")
    return time.monotonic() - started


def _cost(server: RunningServer, project: GrowingProject, labels: tuple[str, ...], rounds: int) -> Sheet:
    """One task at a time, each image in turn. `labels`: those of the base weights."""
    known = Workload([], labels).config(project.kind)
    asked = {"base weights": (UNLABELLED, known), "provisional": (PROJECT, project.config)}
    tries, regions = {}, {}
    for name, (number, config) in asked.items():
        bodies = [_body(project, number, image, config) for image in range(len(project.images))]
        tries[name] = partial(_ask, server, cycle(bodies))
        regions[name] = statistics.mean(_ask(server, iter([body])) for body in bodies)
    timed = alternate(tries, rounds, CALLS)
    sheet = Sheet(
        f"/predict of one task, {project.kind}, in turns",
        ("answered by", "ms", "over the base weights", "regions"),
    )
    for name in tries:
        sheet.add(name, timed.median(name), timed.ratio(name, "base weights"), regions[name])
    return sheet


def _ask(server: RunningServer, bodies: Iterator[bytes]) -> int:
    """How many regions the next one gets."""
    [result] = json.loads(post(server.port, "/predict", next(bodies)))["results"]
    return len(result["result"])


def _body(project: GrowingProject, number: int, image: int, config: str) -> bytes:
    task = {"id": image + 1, "data": {"image": project.image_urls()[image]}}
    return json.dumps({"tasks": [task], "project": f"{number}.1", "label_config": config}).encode()


def _answering(server: RunningServer) -> str:
    versions: list[str] = json.loads(get(server.port, f"/versions?project={PROJECT}"))["versions"]
    return versions[0]


def _memory() -> tuple[float | None, float | None]:
    """Resident now and at its peak, of the process that makes provisional versions."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if MAKING not in (process / "cmdline").read_text().split("\0"):
                continue
            status = (process / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        found = [pattern.search(status) for pattern in (RESIDENT, PEAK)]
        now, peak = (float(one[1]) / 1e3 if one else None for one in found)
        return now, peak
    return None, None
