"""What stands around every page of one project: its title, its parts, and the way to Label Studio."""

from __future__ import annotations

import dash_mantine_components as dmc

from prelabel.console.context import Context
from prelabel.console.parts import Children, address

PARTS = (
    ("project", "Quality", ()),
    ("versions", "Versions", ("versions",)),
    ("runs", "Runs", ("runs",)),
    ("queue", "Queue", ("queue",)),
    ("review", "Review", ("review",)),
    ("settings", "Settings", ("settings",)),
    ("doctor", "Doctor", ("doctor",)),
)


def project_page(context: Context, project_id: int, part: str, content: Children) -> tuple[str, Children]:
    """The title and the content of a page of a project. `part`: which of PARTS."""
    links = [
        dmc.Anchor(
            name,
            href=address("projects", project_id, *path),
            underline="never",
            className="part",
            **({"aria-current": "page"} if one == part else {}),
        )
        for one, name, path in PARTS
    ]
    studio = dmc.Anchor("open in Label Studio", href=context.address(project_id), target="_blank", size="sm")
    bar = dmc.Group([dmc.Group(links, gap=4), studio], justify="space-between", mb="md")
    return context.title(project_id), [bar, content]
