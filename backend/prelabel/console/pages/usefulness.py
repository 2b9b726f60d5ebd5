"""What people did to the predictions of each version, and the time that these saved; asked for behind the page."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash.development.base_component import Component

from prelabel.console.context import Context
from prelabel.console.kept import Answer
from prelabel.console.parts import UNKNOWN, copyable, empty, problem, share, table
from prelabel.labels.usefulness import Usefulness, duration, effort_of, usefulness

KEPT_SECONDS = 600.0
"""Label Studio writes every annotation of the project out for it."""

HEADINGS = ("version", "annotations", "kept", "changed", "added", "deleted", "no edit", "saved")


def useful(context: Context, project_id: int) -> Answer[Usefulness]:
    """What is known of it by now."""
    settings = context.settings
    return context.kept.ask(
        ("usefulness", project_id),
        lambda: usefulness(context.client, project_id, effort_of(settings)),
        KEPT_SECONDS,
    )


def saved_so_far(context: Context, project_id: int) -> str:
    """The time that predictions saved in this project, over all versions."""
    known = useful(context, project_id).value
    if known is None:
        return UNKNOWN
    edits = known.versions.values()
    return duration(sum(one.seconds_without(known.effort) - one.seconds_with(known.effort) for one in edits))


def usefulness_table(context: Context, project_id: int) -> Component:
    """A row per version."""
    known = useful(context, project_id)
    if known.problem:
        return problem(known.problem)
    if known.value is None:
        return empty("Reading the annotations from Label Studio …")
    if not known.value.versions:
        return empty(
            "No annotation was made from a prediction yet. Figures come with the first that is submitted."
        )
    effort = known.value.effort
    rows = [
        [
            name,
            edits.annotations,
            *(count.total() for count in (edits.kept, edits.changed, edits.added, edits.deleted)),
            share(edits.no_edit_share),
            duration(edits.seconds_without(effort) - edits.seconds_with(effort)),
        ]
        for name, edits in known.value.versions.items()
    ]
    note = "Times are estimates, by the seconds per action in PRELABEL_SECONDS_*; counts are regions."
    return dmc.Stack(
        [
            table(HEADINGS, rows, HEADINGS[1:]),
            dmc.Text(note, size="sm", c="dimmed"),
            copyable(f"prelabel stats --project {project_id}"),
        ],
        gap="xs",
    )
