"""How one project learns: what answers for it, the next run, and its quality over its versions."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash.development.base_component import Component

from prelabel.console.charts import quality_chart
from prelabel.console.context import Context
from prelabel.console.pages.usefulness import saved_so_far, usefulness_table
from prelabel.console.parts import (
    Children,
    action,
    chart,
    copyable,
    empty,
    figure,
    link,
    live,
    moment,
    run_progress,
    section,
    share,
)
from prelabel.console.project_frame import project_page
from prelabel.overview.projects import ProjectOverview, project_overview

REFRESH_SECONDS = 3.0


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID."""
    return project_page(
        context,
        project,
        "project",
        live("project", content(context, str(project)), project, seconds=REFRESH_SECONDS),
    )


def content(context: Context, project: str) -> Children:
    """Cards, the chart and what people did to predictions."""
    one = project_overview(context.settings, context.database, int(project))
    return dmc.Stack(
        [
            dmc.SimpleGrid(_cards(context, one), cols={"base": 1, "sm": 2, "lg": 4}),
            *_under_way(one),
            section("Quality over versions", *_quality(one)),
            section("What people did to predictions", usefulness_table(context, one.project_id)),
        ]
    )


def _cards(context: Context, one: ProjectOverview) -> list[Component]:
    serving = one.serving
    judged = f"judged on {serving.judged.images} images" if serving and serving.judged.images else ""
    answers: Children = one.answers
    if serving or one.provisional:
        answers = link(one.answers, "projects", one.project_id, "versions", one.answers)
    since = serving.created_at if serving else one.provisional.created_at if one.provisional else None
    return [
        _card("Answers", answers, ["made ", moment(since)] if since else "no version of its own yet"),
        _card("New labels", f"{one.new_labels:,}", f"next run: {one.next_run_in_words}"),
        _card("Need no edit", share(one.no_edit_share), judged),
        _card("Saved so far", saved_so_far(context, one.project_id), "an estimate, over all versions"),
    ]


def _card(name: str, value: Children, note: Children) -> Component:
    return dmc.Paper(
        [
            dmc.Text(name, size="sm", c="dimmed"),
            dmc.Text(value, fw=600, size="xl"),
            dmc.Text(note, size="sm", c="dimmed"),
        ],
        withBorder=True,
        p="md",
    )


def _under_way(one: ProjectOverview) -> list[Component]:
    start = action("Start training", "start training", one.project_id)
    if not one.runs:
        return [dmc.Group([start, copyable(f"prelabel train --project {one.project_id}")])]
    runs = [
        dmc.Group(
            [
                dmc.Box(run_progress(run), flex=1),
                link("log", "projects", one.project_id, "runs", run.id),
                action("Cancel", "cancel run", one.project_id, str(run.id), color="red"),
            ],
            align="flex-end",
        )
        for run in one.runs
    ]
    return [section("Training", *runs)]


def _quality(one: ProjectOverview) -> list[Component]:
    judged = [version for version in one.versions if version.judged.images]
    if not judged:
        return [empty("No version was judged yet: the first comes with the first training run.")]
    newest = judged[-1]
    words = dmc.Text(
        [
            f"The newest, {newest.name}: box AP50 {figure(newest.judged.box_AP50)}, ",
            f"no edit {share(newest.judged.no_edit_share)}. {newest.reason}",
        ],
        size="sm",
    )
    return [
        chart(quality_chart(judged), 320),
        words,
        copyable(f"prelabel versions list --project {one.project_id}"),
    ]
