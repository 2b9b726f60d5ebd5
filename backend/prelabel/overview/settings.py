"""The settings that a project may have of its own: what holds for it, and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prelabel.settings import Settings, as_environment, environment_name
from prelabel.store.database import Database
from prelabel.store.project_settings import CHANGEABLE, own_settings, with_own

PROJECT, ENVIRONMENT, DEFAULT = "this project", "environment", "default"


@dataclass(frozen=True)
class SettingOverview:
    """One setting. `value`: that holds, as the environment would have it, "" where it is not set; `source`: where it
    comes from.
    """

    variable: str
    value: str
    source: str
    description: str


def setting_overviews(settings: Settings, database: Database, project_id: int) -> Iterator[SettingOverview]:
    """Every setting that the project may have of its own. Raises StoreError."""
    own = own_settings(database, project_id)
    held = with_own(settings, own)
    own = own if held is not settings else {}  # they do not hold by now
    given = as_environment(settings)
    for name in CHANGEABLE:
        variable, value = environment_name(name), getattr(held, name)
        source = PROJECT if name in own else ENVIRONMENT if variable in given else DEFAULT
        description = Settings.model_fields[name].description or ""
        yield SettingOverview(variable, "" if value is None else str(value), source, description)
