"""Settings of single projects, in the place of those of the environment."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from prelabel.errors import PrelabelError
from prelabel.settings import Settings, SettingsError, environment_name, load_settings
from prelabel.store.database import Base, Database, UtcDateTime

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 255

CHANGEABLE = (
    "prelabel_train_every",
    "prelabel_train_growth",
    "prelabel_train_min_labels",
    "prelabel_train_interval",
    "prelabel_frozen_stages",
    "prelabel_train_epochs",
    "prelabel_learning_rate",
    "prelabel_train_min_size",
    "prelabel_train_max_size",
    "prelabel_strategy",
    "prelabel_random_share",
)
"""Fields of Settings that a project may have of its own: when it is trained and how, and the order of its tasks. What a
server process shares between projects, as its base weights and their threshold, is none."""


class ProjectSetting(Base):
    """One setting of one project. `value`: as the environment would have it; `who`: changed it last."""

    __tablename__ = "project_settings"

    project_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    who: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))


class ProjectSettingError(PrelabelError):
    """A setting that a project cannot have of its own; the message is one sentence."""


def own_settings(database: Database, project_id: int) -> dict[str, str]:
    """Field of Settings -> the project's own value, as the environment would have it."""
    query = select(ProjectSetting).filter_by(project_id=project_id)
    with database.session() as session:
        return {row.name: row.value for row in session.scalars(query) if row.name in CHANGEABLE}


def project_settings(settings: Settings, database: Database, project_id: int) -> Settings:
    """The settings that hold for a project."""
    return with_own(settings, own_settings(database, project_id))


def with_own(settings: Settings, own: Mapping[str, str]) -> Settings:
    """These settings with a project's own in their place; without, where they cannot be together by now: what the
    environment says has changed, and that must not end a run.
    """
    if not own:
        return settings
    try:
        changed = load_settings(**own)
    except SettingsError as error:
        logger.warning("a project's own settings do not hold: %s", error)
        return settings
    return settings.model_copy(update={name: getattr(changed, name) for name in own})


def set_project_setting(database: Database, project_id: int, name: str, value: str | None, who: str) -> None:
    """Give a project a value of its own, None: the environment's again.

    `name`: a field of Settings, or its variable. `value`: as the environment would have it. Raises ProjectSettingError
    for a setting that no project can have, and SettingsError for a value that it cannot take.
    """
    field = name.lower()
    if field not in CHANGEABLE:
        known = ", ".join(environment_name(one) for one in CHANGEABLE)
        raise ProjectSettingError(f"{name} cannot be set for a project; these can: {known}")
    if value is not None:
        load_settings(**own_settings(database, project_id) | {field: value})
    with database.session() as session:
        row = session.get(ProjectSetting, (project_id, field))
        if value is not None:
            row = row or ProjectSetting(project_id=project_id, name=field)
            row.value, row.at, row.who = value, datetime.now(UTC), who[:MAX_NAME_LENGTH]
            session.add(row)
        elif row:
            session.delete(row)
