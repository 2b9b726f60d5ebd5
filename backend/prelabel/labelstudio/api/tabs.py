"""Tabs of the Data Manager that prelabel keeps: found by their title, made once, and put right when they differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from prelabel.labelstudio.api.client import LabelStudioClient

Json = dict[str, Any]

DEFAULT = "Default"
"""The tab that Label Studio makes for a person who opens a project without tabs: all tasks."""

NOTES = "prelabel"
"""Where a tab keeps what prelabel wants to know of it later; Label Studio keeps it and shows it nowhere."""

UNLABELLED: Json = {
    "filter": "filter:tasks:total_annotations",
    "operator": "equal",
    "type": "Number",
    "value": 0,
}
"""The filter for tasks without a submitted annotation."""


@dataclass(frozen=True)
class Tab:
    """What a tab shows. `ordering`: columns such as `tasks:predictions_score`, with a `-` before it downwards.

    `filters`: Label Studio's own JSON, all of which must hold. `shown`: ids of columns to be shown beside those that
    Label Studio shows by itself. `notes`: kept with the tab.
    """

    title: str
    ordering: tuple[str, ...] = ()
    filters: tuple[Json, ...] = ()
    shown: Collection[str] = ()
    notes: Json = field(default_factory=dict)


def find_tab(client: LabelStudioClient, project_id: int, title: str) -> Json | None:
    """The first tab of this title as Label Studio keeps it (`id`, `data`). Raises LabelStudioError."""
    return _of_title(client.views(project_id), title)


def put_tab(client: LabelStudioClient, project_id: int, tab: Tab) -> int:
    """Make the tab, or put right the one of its title; its id. Raises LabelStudioError.

    What people did to its columns stays; order, filters and notes become those of `tab`. A project without any tab gets
    Label Studio's own one first: it makes none where there is another.
    """
    views = client.views(project_id)
    known = _of_title(views, tab.title)
    if known is None:
        columns = client.columns(project_id)
        if not views:
            client.add_view(project_id, _new(Tab(DEFAULT), columns))
        return int(client.add_view(project_id, _new(tab, columns))["id"])
    data = known["data"] | _own(tab)
    if data != known["data"]:
        client.update_view(known["id"], project_id, data)
    return int(known["id"])


def tab_notes(view: Json) -> Json:
    """The notes that a tab was made with; none where somebody's browser lost them."""
    notes = (view["data"] or {}).get(NOTES)
    return notes if isinstance(notes, dict) else {}


def _of_title(views: Sequence[Json], title: str) -> Json | None:
    return next((view for view in views if (view["data"] or {}).get("title") == title), None)


def _own(tab: Tab) -> Json:
    filters = {"conjunction": "and", "items": list(tab.filters)}
    return {"title": tab.title, "ordering": list(tab.ordering), "filters": filters, NOTES: tab.notes}


def _new(tab: Tab, columns: Sequence[Json]) -> Json:
    hidden = {mode: _hidden(columns, mode, tab.shown) for mode in ("explore", "labeling")}
    return {"type": "list", "target": "tasks", "hiddenColumns": hidden, **_own(tab)}


def _hidden(columns: Sequence[Json], mode: str, shown: Collection[str]) -> list[str]:
    """The columns that Label Studio itself hides in this mode, less those that are to be shown."""
    return [
        f"{column['target']}:{_path(column)}"
        for column in columns
        if column["id"] not in shown and not (column.get("visibility_defaults") or {}).get(mode, True)
    ]


def _path(column: Json) -> str:
    return f"{column['parent']}.{column['id']}" if column.get("parent") else str(column["id"])
