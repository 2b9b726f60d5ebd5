"""The chain from the settings to the predictions that annotators see, with what is broken and how to mend it.

It is examined by the command, in a process of its own: reading weights takes PyTorch, which a server does without.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, ctx
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from prelabel.connect.doctor import CHAIN, CheckedLink, Status
from prelabel.console.context import Context
from prelabel.console.kept import Answer
from prelabel.console.parts import Children, address, copyable, live, problem, section
from prelabel.console.project_frame import project_page
from prelabel.errors import PrelabelError
from prelabel.settings import Settings
from prelabel.worker.supervision import training_environment

KEPT_SECONDS = 900.0
"""An examination takes seconds, a dozen requests, and fetches an image."""

LONGEST_SECONDS = 180.0

COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.BROKEN: "red",
    Status.NOT_CHECKED: "gray",
}


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/doctor."""
    return project_page(context, project, "doctor", live("doctor", content(context, str(project)), project))


def examined(context: Context, project_id: int) -> Answer[list[CheckedLink]]:
    """What is known of the project's chain by now."""
    return context.examinations.ask(
        ("doctor", project_id), lambda: _examine(context.settings, project_id), KEPT_SECONDS
    )


def _examine(settings: Settings, project_id: int) -> list[CheckedLink]:
    nice = shutil.which("nice")
    gives_way = [nice, "-n", str(settings.prelabel_training_nice)] if nice else []
    command = [*gives_way, sys.executable, "-m", "prelabel", "doctor", "--project", str(project_id), "--json"]
    try:
        answer = subprocess.run(
            command,
            env=training_environment(settings),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=True,
            text=True,
        )
        links = json.loads(answer.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        said = f"prelabel doctor --project {project_id}"
        raise PrelabelError(f"`{said}` did not come to an end: run it by hand.") from error
    return [CheckedLink(**link | {"status": Status(link["status"])}) for link in links]


def health_light(known: list[CheckedLink] | None, project_id: int) -> Component:
    """Green, or the first broken link with its remedy; `known`: the project's chain, None where it was not examined."""
    worst = first_problem(known) if known else None
    if known is None:
        text, colour, why = "not checked", "gray", "Open it to have the chain examined."
    elif worst is None:
        text, colour, why = "healthy", "green", "Every link of the chain is sound."
    else:
        text, colour = str(worst.status), COLOURS[worst.status]
        why = f"{worst.link}: {worst.detail}. {worst.remedy}"
    badge = dmc.Badge(text, color=colour, variant="light", autoContrast=True)
    anchor = dmc.Anchor(badge, href=address("projects", project_id, "doctor"), underline="never")
    return dmc.Tooltip(anchor, label=why, multiline=True, w=320)


def first_problem(links: list[CheckedLink]) -> CheckedLink | None:
    """The first broken link, else the first with a warning."""
    for status in (Status.BROKEN, Status.WARNING):
        for link in links:
            if link.status is status:
                return link
    return None


def content(context: Context, project: str) -> Children:
    """The chain as it was examined last."""
    known = examined(context, int(project))
    failed = [problem(known.problem)] if known.problem else []
    links = known.value or [CheckedLink(link.name, Status.NOT_CHECKED, "being checked …") for link in CHAIN]
    again = dmc.Button(
        "Check again",
        id={"role": "examine", "project": int(project)},
        size="compact-sm",
        variant="light",
        loading=known.is_coming,
    )
    return section(
        "From the settings to the predictions that annotators see",
        *failed,
        dmc.Timeline([_item(one) for one in links], bulletSize=18, lineWidth=2, active=len(links)),
        dmc.Space(h="md"),
        copyable(f"prelabel doctor --project {project}"),
        aside=again,
    )


def _item(link: CheckedLink) -> Component:
    colour = COLOURS[link.status]
    heading = dmc.Group(
        [
            dmc.Text(link.link, fw=600),
            dmc.Badge(link.status, color=colour, variant="light", autoContrast=True),
        ],
        gap="xs",
    )
    remedy = [dmc.Text(f"→ {link.remedy}", size="sm", fw=500)] if link.remedy else []
    return dmc.TimelineItem(
        [dmc.Text(link.detail, size="sm", c="dimmed"), *remedy],
        title=heading,
        bullet=dmc.ThemeIcon("", size=18, radius="xl", color=colour),
    )


def register(app: Dash, context: Context) -> None:
    """The button that has the chain examined again; the page shows the outcome with its next refresh."""

    @app.callback(
        Output({"role": "examine", "project": ALL}, "loading"),
        Input({"role": "examine", "project": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def examine_again(clicks: list[int | None]) -> list[bool]:
        wanted = ctx.triggered_id
        if not isinstance(wanted, dict) or not any(clicks):
            raise PreventUpdate
        context.examinations.renew(("doctor", int(wanted["project"])))
        return [True] * len(clicks)
