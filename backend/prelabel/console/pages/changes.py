"""What people changed by the console: who, when, and what came of it."""

from __future__ import annotations

from prelabel.console.context import Context
from prelabel.console.parts import Children, copyable, empty, live, moment, section, table
from prelabel.store.actions import list_actions

HEADINGS = ("when", "who", "project", "what", "about", "result")


def page(context: Context) -> tuple[str, Children]:
    """The page at /console/changes."""
    return "Changes", section("Changes made here, newest first", live("changes", content(context)))


def content(context: Context) -> Children:
    """The newest changes of all projects."""
    found = list_actions(context.database)
    if not found:
        return empty("Nothing was changed by these pages yet. What commands change is not listed here.")
    rows = [
        [moment(one.at), one.who, one.project_id, one.action, one.of, one.result.rstrip(".")] for one in found
    ]
    return [table(HEADINGS, rows), copyable("prelabel changes")]
