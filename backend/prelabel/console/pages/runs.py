"""The training runs of a project, and one of them with its curves and its log while it is at work."""

from __future__ import annotations

import json
from pathlib import Path

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from prelabel.console.charts import curves_chart
from prelabel.console.context import Context
from prelabel.console.jobs import end_of
from prelabel.console.parts import (
    Children,
    action,
    chart,
    copyable,
    empty,
    facts,
    link,
    live,
    moment,
    problem,
    run_progress,
    section,
    state_badge,
    table,
)
from prelabel.console.project_frame import project_page
from prelabel.folders import LOG, run_folder
from prelabel.store.runs import ENDS, Run, get_run, list_runs

HEADINGS = ("run", "state", "requested by", "requested", "version", "why")

MOST_LOG = 30_000
"""Bytes of the end of a log."""

MOST_POINTS = 500
METRICS, LOSS = "metrics.jsonl", "loss/"
"""The file with a run's losses, and how these begin (fbnetv3/finetuning/records.py, which imports PyTorch)."""


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/runs."""
    start = action("Start training", "start training", project)
    runs = section("Training runs", live("runs", content(context, str(project)), project), aside=start)
    return project_page(context, project, "runs", runs)


def one(context: Context, project: int, run: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/runs/NUMBER."""
    made = run_content(context, str(project), str(run))
    is_over = get_run(context.database, run).state in ENDS
    content = made if is_over else live("run", made, project, run)
    return project_page(context, project, "runs", content)


def content(context: Context, project: str) -> Children:
    """The newest runs first."""
    runs = list_runs(context.database, int(project))
    command = f"prelabel runs list --project {project}"
    if not runs:
        return empty(
            "No run yet: labels start one, or the button does.", f"prelabel train --project {project}"
        )
    return [table(HEADINGS, [_row(run) for run in runs]), copyable(command)]


def run_content(context: Context, project: str, run: str) -> Children:
    """Facts, curves and log of one run."""
    found = get_run(context.database, int(run))
    if found.project_id != int(project):
        return problem(f"Run {run} is of project {found.project_id}.")
    folder = run_folder(context.settings, found)
    is_over = found.state in ENDS
    cancel = None if is_over else action("Cancel", "cancel run", found.project_id, run, color="red")
    about = section(f"Run {run}", *([] if is_over else [run_progress(found)]), _facts(found), aside=cancel)
    return dmc.Stack([about, *_curves(folder), section("Log", *_log(folder, found))])


def _row(run: Run) -> list[Children]:
    version = link(run.version, "projects", run.project_id, "versions", run.version) if run.version else ""
    return [
        link(str(run.id), "projects", run.project_id, "runs", run.id),
        state_badge(run.state),
        run.requested_by,
        moment(run.requested_at),
        version,
        dmc.Text(run.reason or run.stage or "", size="sm", maw=560),
    ]


def _facts(run: Run) -> Component:
    known: dict[str, Children] = {
        "state": state_badge(run.state),
        "requested": [moment(run.requested_at), f" by {run.requested_by}"],
        "started": run.started_at and moment(run.started_at),
        "finished": run.finished_at and moment(run.finished_at),
        "tried again": run.retry_at and moment(run.retry_at),
        "labelled tasks": run.accepted and str(run.accepted),
        "snapshot": run.snapshot_digest,
        "version": run.version and link(run.version, "projects", run.project_id, "versions", run.version),
        "why": run.reason,
    }
    return facts(*((name, value) for name, value in known.items() if value))


def _curves(folder: Path) -> list[Component]:
    """Of each training of the run that has written its losses: the candidate's, and those of the folds."""
    charts = []
    for file in sorted(folder.glob(f"**/{METRICS}")):
        steps, curves = read_curves(file)
        if steps:
            name = "the candidate" if file.parent == folder else file.parent.name.replace("fold", "fold ")
            graph = chart(curves_chart(steps, curves), 220)
            charts.append(dmc.Stack([dmc.Text(name, size="sm", fw=600), graph], gap=0))
    if not charts:
        return []
    return [section("Loss", dmc.SimpleGrid(charts, cols={"base": 1, "md": 2, "xl": 3}))]


def read_curves(file: Path) -> tuple[list[int], dict[str, list[float | None]]]:
    """Steps, and by their names the losses there; a last line that is half written is left out."""
    records = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    records = records[:: max(len(records) // MOST_POINTS, 1)]
    names = dict.fromkeys(name for one in records for name in one if name.startswith(LOSS))
    curves = {name.removeprefix(LOSS): [one.get(name) for one in records] for name in names}
    return [one["step"] for one in records], curves


def _log(folder: Path, run: Run) -> list[Component]:
    try:
        text = end_of(folder / LOG, MOST_LOG)
    except OSError:
        text = ""
    if not text:
        return [empty("There is no log on this machine yet: it begins when a worker here starts the run.")]
    return [
        html.Pre(text, className="log", tabIndex=0),
        copyable(f"prelabel runs log {run.id} --follow"),
    ]
