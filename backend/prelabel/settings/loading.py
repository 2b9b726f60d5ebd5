"""The settings of the environment: read, handed to another process, and what is wrong with them in one sentence."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from prelabel.errors import PrelabelError
from prelabel.settings.fields import environment_name
from prelabel.settings.settings import CONFIDENTIAL, Settings


class SettingsError(PrelabelError):
    """A setting has a value that it cannot have; the message is one sentence that names the variable."""


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment; `overrides` are by field name; None is no override.

    Raises SettingsError.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_one_sentence(error)) from None


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    return {environment_name(name): _as_text(getattr(settings, name)) for name in settings.model_fields_set}


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence for each PRELABEL_* variable that is set and that nothing reads."""
    known = [environment_name(field) for field in Settings.model_fields]
    unknown = (name for name in sorted(environ) if name.startswith("PRELABEL_") and name not in known)
    return [_unknown_sentence(name, known) for name in unknown]


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return "" if value is None else str(value)


def _unknown_sentence(name: str, known: list[str]) -> str:
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"{name} is not a setting of prelabel and is ignored; the closest one is {closest[0]}"


def _one_sentence(error: ValidationError) -> str:
    return "; ".join(_describe(problem) for problem in error.errors())


def _describe(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    shown = "" if name in CONFIDENTIAL else f" is {str(problem['input'])!r} but"
    return f"{environment_name(name)}{shown} {_rule(name, problem)}"


def _rule(name: str, problem: ErrorDetails) -> str:
    if problem["type"] == "string_pattern_mismatch":
        return "must look like " + " or ".join(Settings.model_fields[name].examples or ())
    said = problem["msg"].removeprefix("Value error, ")
    return said.split(", unable")[0].replace("Input should", "must")
