"""Limits and options as the settings have them where nothing is set, for tests that make fetchers and predictors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prelabel.inference.predictor import PredictorOptions
from prelabel.labelstudio.fetching.fetcher import FetchLimits
from prelabel.settings import Settings

DEFAULTS = Settings.model_construct()
"""Whatever the environment says."""


def fetch_limits(**changed: Any) -> FetchLimits:
    """The default limits of fetching, with some changed."""
    return replace(FetchLimits.of(DEFAULTS), **changed)


def predictor_options(**changed: Any) -> PredictorOptions:
    """The default options of a predictor, with some changed."""
    return replace(PredictorOptions.of(DEFAULTS), **changed)
