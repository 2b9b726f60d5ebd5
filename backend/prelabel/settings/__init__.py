"""Every setting, read from the environment."""

from prelabel.settings.fields import environment_name
from prelabel.settings.labelling import STRATEGIES, StrategyName
from prelabel.settings.loading import SettingsError, as_environment, load_settings, unknown_variables
from prelabel.settings.settings import CONFIDENTIAL, Settings

__all__ = [
    "CONFIDENTIAL",
    "STRATEGIES",
    "Settings",
    "SettingsError",
    "StrategyName",
    "as_environment",
    "environment_name",
    "load_settings",
    "unknown_variables",
]
