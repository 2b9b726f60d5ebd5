"""Every setting, read from the environment."""

from prelabel.settings.settings import (
    CONFIDENTIAL,
    Settings,
    SettingsError,
    StrategyName,
    as_environment,
    environment_name,
    load_settings,
    unknown_variables,
)

__all__ = [
    "CONFIDENTIAL",
    "Settings",
    "SettingsError",
    "StrategyName",
    "as_environment",
    "environment_name",
    "load_settings",
    "unknown_variables",
]
