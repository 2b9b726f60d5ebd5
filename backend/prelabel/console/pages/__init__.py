"""The pages by their addresses, and the parts of them that are made anew while they are open."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dash import Dash

from prelabel.console.context import Context
from prelabel.console.pages import (
    changes,
    doctor,
    overview,
    project,
    queue,
    review,
    runs,
    settings,
    try_it,
    versions,
)
from prelabel.console.parts import ROOT, Children, empty, problem
from prelabel.errors import FORESEEN

PROJECT = r"projects/(?P<project>[1-9]\d{0,8})"
VERSION = r"p\d+-v\d+|p\d+-provisional-\d+"

Page = Callable[..., tuple[str, Children]]

PAGES: tuple[tuple[re.Pattern[str], Page], ...] = tuple(
    (re.compile(pattern, re.ASCII), page)
    for pattern, page in (
        ("", overview.page),
        ("try", try_it.page),
        ("changes", changes.page),
        (PROJECT, project.page),
        (f"{PROJECT}/versions", versions.page),
        (f"{PROJECT}/versions/(?P<names>({VERSION})(,({VERSION})){{0,2}})", versions.compared),
        (f"{PROJECT}/runs", runs.page),
        (rf"{PROJECT}/runs/(?P<run>[1-9]\d{{0,8}})", runs.one),
        (f"{PROJECT}/queue", queue.page),
        (f"{PROJECT}/review", review.page),
        (f"{PROJECT}/settings", settings.page),
        (f"{PROJECT}/doctor", doctor.page),
    )
)

LIVE: dict[str, Callable[..., Children]] = {
    "overview": overview.content,
    "project": project.content,
    "versions": versions.content,
    "runs": runs.content,
    "run": runs.run_content,
    "queue": queue.content,
    "review": review.job,
    "doctor": doctor.content,
    "changes": changes.content,
}
"""Name -> what makes the content: given the context and the arguments of `live`, as text."""


def page_at(context: Context, path: str) -> tuple[str, Children]:
    """The title and the content of the page at an address; what is wrong stands on the page."""
    wanted = path.removeprefix(ROOT).strip("/")
    for pattern, page in PAGES:
        if match := pattern.fullmatch(wanted):
            given: dict[str, Any] = match.groupdict()
            for name in ("project", "run"):
                if name in given:
                    given[name] = int(given[name])
            try:
                return page(context, **given)
            except FORESEEN as error:
                return "This cannot be shown", problem(str(error))
    return "No such page", empty(f"There is no page {path}: begin with the overview.")


def register_pages(app: Dash, context: Context) -> None:
    """The callbacks and pictures that single pages need."""
    try_it.register(app, context)
    queue.register(app, context)
    review.register(app, context)
    settings.register(app, context)
    doctor.register(app, context)
