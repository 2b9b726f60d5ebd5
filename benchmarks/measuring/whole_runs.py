"""From the request of a training run to an answer of the version that it made, through a real server and worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fbnetv3.simulation import ReplayData
from fbnetv3.weights import default_folder
from measuring.label_studio import PROJECT, TOKEN, LabelledProject, label_studio
from measuring.processes import RunningServer, prelabel
from measuring.sheets import Sheet
from measuring.traffic import get, post

#: Seconds between two looks at the run, and for all of it.
LOOK = 0.1
PATIENCE = 3600
#: What the run says it is doing -> the part. It reads labels from the moment on at which its process is started.
STAGES = {None: "queue", "reading labels": "start, labels", "training": "training", "judging": "judging"}
#: The last stage makes the version, then promotes it, which is mostly its export for ONNX Runtime. In the end the
#: server answers with it.
PARTS = (*STAGES.values(), "version", "export", "answer")
ENDS = ("promoted", "rejected", "failed", "cancelled")
RUNS, VERSIONS = f"/api/projects/{PROJECT}/runs", f"/api/projects/{PROJECT}/versions"
START_TRAINING = json.dumps({"action": "START_TRAINING", "project": {"id": PROJECT}}).encode()


def measure(
    folder: Path,
    weights: str,
    data: ReplayData,
    images: int,
    threads: Sequence[int | None],
    rounds: int,
    epochs: float | None,
) -> Iterator[Sheet]:
    """One row per run; `threads` take turns, None being what a run gets by default. `epochs`: few, for a try."""
    chosen = data.of(data.pool[:images])
    sheet = Sheet(
        f"{len(chosen)} labelled images to a version that serves, seconds",
        ("training threads", "whole", *PARTS, "end"),
    )
    project = LabelledProject(chosen, range(1, len(chosen) + 1))
    with label_studio(project) as address:
        for number in range(rounds):
            for some in threads:
                home = folder / f"{number}-{some}"
                settings = {
                    "MODEL_DIR": str(_models(home / "models")),
                    "LABEL_STUDIO_URL": address,
                    "LABEL_STUDIO_API_KEY": TOKEN,
                    "PRELABEL_WORKER": "true",
                    **({"PRELABEL_TRAINING_THREADS": str(some)} if some else {}),
                    **({"PRELABEL_TRAIN_EPOCHS": str(epochs)} if epochs else {}),
                }
                with prelabel(home, weights, None, **settings) as server:
                    parts, end = _run(server, project)
                sheet.add(str(some or "default"), sum(parts.values()), *parts.values(), end)
    yield sheet


def _run(server: RunningServer, project: LabelledProject) -> tuple[dict[str, float], str]:
    """Seconds of every part, and how the run ended, with the gate's words."""
    [body] = project.workload().bodies(project.kind, 1, 1)
    post(server.port, "/predict", body)
    spent = dict.fromkeys(PARTS, 0.0)
    started = last = time.monotonic()
    post(server.port, "/webhook", START_TRAINING)
    while last - started < PATIENCE:
        runs = json.loads(get(server.port, RUNS))
        part = _part(server, runs[0]) if runs else PARTS[0]
        if part == PARTS[-1] and (runs[0]["state"] != "promoted" or _answers(server, body, runs[0])):
            return spent, f"{runs[0]['state']}: {runs[0]['reason']}"
        time.sleep(LOOK)
        spent[part] += time.monotonic() - last
        last = time.monotonic()
    raise SystemExit(f"the run has not ended after {PATIENCE} s")


def _part(server: RunningServer, run: dict[str, Any]) -> str:
    """What is going on."""
    if run["state"] in ENDS:
        return "answer"
    if run["stage"] in STAGES:
        return STAGES[run["stage"]]
    return "export" if json.loads(get(server.port, VERSIONS)) else "version"


def _answers(server: RunningServer, body: bytes, run: dict[str, Any]) -> bool:
    """Whether the run's version answers for the project."""
    [result] = json.loads(post(server.port, "/predict", body))["results"]
    return bool(result["model_version"] == run["version"])


def _models(folder: Path) -> Path:
    """A store with the weights and exports of this machine's, to which nothing is added there."""
    theirs = default_folder()
    (folder / "onnx").mkdir(parents=True)
    for path in [*theirs.glob("[!.]*.safetensors"), *theirs.glob("onnx/[!.]*")]:
        (folder / path.relative_to(theirs)).symlink_to(path)
    return folder
