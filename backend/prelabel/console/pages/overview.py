"""Every project at a glance: what answers, labels until the next run, the run under way, how quality went, health."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from prelabel.console.charts import small_curve
from prelabel.console.context import Context
from prelabel.console.pages.doctor import examined, health_light
from prelabel.console.pages.usefulness import saved_so_far
from prelabel.console.parts import (
    UNKNOWN,
    Children,
    address,
    copyable,
    empty,
    live,
    run_progress,
    section,
    share,
)
from prelabel.overview.projects import ProjectOverview, project_overviews

REFRESH_SECONDS = 5.0
MOST_EXAMINED = 12
"""Projects whose chains are examined by themselves: it takes seconds of a core for each."""

CURVE = 12
"""Promoted versions in the small curve."""


def page(context: Context) -> tuple[str, Children]:
    """The page at /console/."""
    return "Projects", live("overview", content(context), seconds=REFRESH_SECONDS)


def content(context: Context) -> Children:
    """A card per project."""
    found = project_overviews(context.settings, context.database)
    if not found:
        return section(
            "No project yet",
            empty(
                "prelabel has not heard of a project. Connect one: ID is the number in its address in Label Studio.",
                "prelabel connect --project ID",
            ),
        )
    return dmc.Stack(
        [
            dmc.SimpleGrid(
                [_card(context, one, len(found)) for one in found], cols={"base": 1, "md": 2, "xl": 3}
            ),
            copyable("prelabel projects list"),
        ]
    )


def _card(context: Context, one: ProjectOverview, projects: int) -> Component:
    title = dmc.Anchor(context.title(one.project_id), href=address("projects", one.project_id), fw=600)
    health = examined(context, one.project_id).value if projects <= MOST_EXAMINED else None
    heading = dmc.Group([title, health_light(health, one.project_id)], justify="space-between", wrap="nowrap")
    rows = [
        _fact("answers", one.answers),
        _fact("new labels", f"{one.new_labels:,}"),
        _fact("next run", one.next_run_in_words),
        _fact("need no edit", share(one.no_edit_share)),
        _fact("saved so far", saved_so_far(context, one.project_id)),
    ]
    parts: list[Component] = [heading, dmc.Stack(rows, gap=2)]
    if curve := _curve(one):
        parts.append(curve)
    parts += [run_progress(run) for run in one.runs]
    return dmc.Card(dmc.Stack(parts, gap="sm"), withBorder=True, padding="md")


def _fact(name: str, value: str) -> Component:
    return dmc.Group(
        [dmc.Text(name, size="sm", c="dimmed"), dmc.Text(value or UNKNOWN, size="sm")],
        justify="space-between",
    )


def _curve(one: ProjectOverview) -> Component | None:
    """The share of objects that needed no edit, over the promoted versions."""
    known = (figures.judged.no_edit_share for figures in one.promoted)
    shares = [value for value in known if value is not None][-CURVE:]
    if len(shares) < 2:
        return None
    said = f"need no edit, over {len(shares)} promoted versions: {share(shares[0])} to {share(shares[-1])}"
    return html.Figure(
        [
            html.Img(src=small_curve(shares), alt=said, className="curve"),
            dmc.Text(said, size="xs", c="dimmed"),
        ],
        className="plain",
    )
