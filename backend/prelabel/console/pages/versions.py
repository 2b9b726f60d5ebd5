"""The versions of a project: their figures, two side by side, and which is to serve."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash.development.base_component import Component

from prelabel.console.charts import calibration_chart
from prelabel.console.context import Context
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
    section,
    share,
    state_badge,
    table,
)
from prelabel.console.project_frame import project_page
from prelabel.console.running_job import job_part
from prelabel.overview.projects import ProjectOverview, project_overview
from prelabel.store.version_figures import VersionFigures
from prelabel.store.versions import BASE, Version, VersionState, find_version
from prelabel.versions.describing import described
from prelabel.versions.records import VersionError

HEADINGS = (
    "version",
    "state",
    "made",
    "labelled",
    "judged on",
    "box AP50",
    "mask AP50",
    "no edit",
    "false per image",
    "",
)
LABEL_HEADINGS = ("label", "objects", "found", "no edit", "false regions", "shown from score")
NUMBERS = ("labelled", "judged on", "box AP50", "mask AP50", "no edit", "false per image")


def page(context: Context, project: int) -> tuple[str, Children]:
    """The page at /console/projects/ID/versions."""
    part = live("versions", content(context, str(project)), project, seconds=3)
    return project_page(context, project, "versions", part)


def content(context: Context, project: str) -> Children:
    """All versions, the newest first, and what a change of the serving one is at."""
    one = project_overview(context.settings, context.database, int(project))
    job = job_part(context, one.project_id, "rollback")
    return dmc.Stack([*job, section("Versions", *_versions(one), aside=_base(one))])


def compared(context: Context, project: int, names: str) -> tuple[str, Children]:
    """The page at /console/projects/ID/versions/NAME,NAME: everything known of one version, or of two and three side by
    side."""
    wanted = list(dict.fromkeys(names.split(",")))
    if foreign := [name for name in wanted if not name.startswith(f"p{project}-")]:
        raise VersionError(f"{foreign[0]} is no version of project {project}")
    found = [described(context.settings, context.database, name) for name in wanted]
    keys = list(dict.fromkeys(key for one in found for key in one))
    rows = [[dmc.Text(key, size="sm", c="dimmed"), *(_value(key, one) for one in found)] for key in keys]
    differing = [row for key, row in zip(keys, rows, strict=True) if len({one.get(key) for one in found}) > 1]
    parts = [table(["", *wanted], differing if len(found) > 1 else rows)]
    if len(found) > 1:
        parts.append(dmc.Text("Only what differs is shown.", size="sm", c="dimmed"))
    parts.append(copyable(f"prelabel versions show {' '.join(wanted)}"))
    about = section(" and ".join(wanted), *parts)
    stored = [version for name in wanted if (version := find_version(context.database, name))]
    figures = [make(version) for make in (_labels, _calibration) for version in stored]
    grid = dmc.SimpleGrid([one for one in figures if one], cols={"base": 1, "lg": 2})
    return project_page(context, project, "versions", dmc.Stack([about, grid]))


def _labels(version: Version) -> Component | None:
    """What became of the objects of each label; None where that is not known."""
    judged = version.judgement.objects
    if judged is None or not judged.by_label:
        return None
    rows = [
        [
            label,
            counts.objects,
            share(counts.found / counts.objects if counts.objects else None),
            share(counts.no_edit / counts.objects if counts.objects else None),
            counts.false_positives,
            "never" if judged.thresholds.get(label, 0) > 1 else figure(judged.thresholds.get(label)),
        ]
        for label, counts in judged.by_label.items()
    ]
    return section(
        f"{version.name}: by label, on {judged.images} images",
        table(LABEL_HEADINGS, rows, LABEL_HEADINGS[1:]),
    )


def _calibration(version: Version) -> Component | None:
    """How far the scores of a version can be believed; None where it was not judged."""
    judged = version.judgement.objects
    if judged is None or not judged.regions:
        return None
    shown = chart(calibration_chart(judged.regions, version.plan.calibration), 280)
    note = dmc.Text(
        f"Of the regions of about one score, the share that was right, on the {judged.images} images that judged it.",
        size="sm",
        c="dimmed",
    )
    return section(f"{version.name}: how often a score is right", shown, note)


def _value(key: str, one: dict[str, str]) -> Component:
    value = one.get(key, "")
    return state_badge(value) if key == "state" else dmc.Text(value, size="sm", className="value")


def _versions(one: ProjectOverview) -> list[Component]:
    parts = []
    if one.provisional:
        name = link(one.provisional.name, "projects", one.project_id, "versions", one.provisional.name)
        parts.append(
            dmc.Text(
                [name, " is provisional: it learns from every label, and answers until the first promotion."],
                size="sm",
                mb="sm",
            )
        )
    if not one.versions:
        return [
            *parts,
            empty("No training run has made a version yet.", f"prelabel train --project {one.project_id}"),
        ]
    rows = [_row(one, version) for version in reversed(one.versions)]
    return [
        *parts,
        table(HEADINGS, rows, NUMBERS),
        copyable(f"prelabel versions list --project {one.project_id}"),
    ]


def _row(one: ProjectOverview, version: VersionFigures) -> list[Children]:
    judged = version.judged
    name = link(version.name, "projects", one.project_id, "versions", version.name)
    return [
        dmc.Tooltip(name, label=version.reason, multiline=True, w=420),
        state_badge(version.state),
        moment(version.created_at),
        version.labelled,
        judged.images,
        figure(judged.box_AP50),
        figure(judged.mask_AP50),
        share(judged.no_edit_share),
        figure(judged.false_positives_per_image, 1),
        dmc.Group(_choices(one, version), gap="xs", wrap="nowrap", justify="flex-end"),
    ]


def _choices(one: ProjectOverview, version: VersionFigures) -> list[Component]:
    parts = []
    serving = one.serving
    if serving and serving.name != version.name:
        pair = f"{serving.name},{version.name}"
        parts.append(link(f"compare with {serving.name}", "projects", one.project_id, "versions", pair))
    if version.state is VersionState.RETIRED:
        parts.append(action("Serve again", "roll back", one.project_id, version.name))
    return parts


def _base(one: ProjectOverview) -> Component | None:
    if one.serving is None:
        return None
    return action("Serve the base weights", "roll back", one.project_id, BASE, color="gray")
