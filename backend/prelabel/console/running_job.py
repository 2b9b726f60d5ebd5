"""A command that a page started, with what it prints, on the page that started it."""

from __future__ import annotations

import re

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from prelabel.console.context import Context
from prelabel.console.jobs import read_job
from prelabel.console.parts import moment, section

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def job_part(context: Context, project_id: int, name: str) -> list[Component]:
    """The last job of this name; nothing before the first."""
    job = read_job(context.settings, project_id, name)
    if job is None:
        return []
    if job.is_running:
        state, colour = "running", "blue"
    else:
        state, colour = ("done", "green") if job.exit_code == 0 else ("failed", "red")
    heading = dmc.Group(
        [dmc.Badge(state, color=colour, variant="light"), dmc.Text(moment(job.started_at), size="sm")]
    )
    printed = _lines(job.printed)
    content = [html.Pre(printed, className="log", tabIndex=0)] if printed else []
    return [section(job.command, *content, aside=heading)]


def _lines(printed: str) -> str:
    """What is left to see of a terminal: without colours, and without what a progress bar wrote over."""
    lines = (line.rsplit("\r", 1)[-1] for line in CONTROL.sub("", printed).splitlines())
    return "\n".join(line.rstrip() for line in lines if line.strip())
