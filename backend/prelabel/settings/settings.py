"""All settings of one process: their names, defaults and ranges stand in the groups, nowhere else.

The environment name of a field is its name in capitals: `port` is read from `PORT`, `prelabel_home` from
`PRELABEL_HOME`. The names without a prefix are those of the Label Studio ML backend examples. A variable that
is set to nothing counts as not set.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from prelabel.settings.images import ImageSettings
from prelabel.settings.label_studio import LabelStudioSettings
from prelabel.settings.labelling import LabellingSettings
from prelabel.settings.model import ModelSettings
from prelabel.settings.server import ServerSettings
from prelabel.settings.storage import StorageSettings
from prelabel.settings.training import TrainingSettings

CONFIDENTIAL = frozenset(
    {
        "label_studio_api_key",
        "prelabel_label_studio_headers",
        "basic_auth_pass",
        "prelabel_database_url",
        "prelabel_queue_url",
        "prelabel_webhook_secret",
    }
)
"""Fields whose values are never shown: they hold passwords or tokens."""


class Settings(
    TrainingSettings,
    LabellingSettings,
    ModelSettings,
    ImageSettings,
    StorageSettings,
    ServerSettings,
    LabelStudioSettings,
    BaseSettings,
):
    """The settings of one process. `load_settings` makes it and words errors for people."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="forbid", allow_inf_nan=False)
