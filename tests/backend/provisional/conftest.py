"""The starter weights, and a project whose labels they learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from default_limits import fetch_limits
from label_studio_stand_in import LabelStudioStandIn
from provisional_samples import Workplace

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.provisional.making import ProvisionalMaker
from prelabel.settings import Settings, load_settings
from prelabel.store.database import Database
from prelabel.versions.loading import base_predictor

NETWORK = {"prelabel_min_size": 128, "prelabel_max_size": 192, "prelabel_proposals": 20}


@pytest.fixture(scope="session")
def base() -> Predictor:
    """It looks at small images, to be quick."""
    settings = Settings.model_construct(prelabel_engine="torch", prelabel_weights="starter", **NETWORK)
    return base_predictor(settings)


@pytest.fixture
def workplace(
    studio: LabelStudioStandIn,
    database: Database,
    base: Predictor,
    tmp_path: Path,
    bare_environment: None,
) -> Iterator[Workplace]:
    settings = load_settings(prelabel_home=tmp_path / "home", label_studio_url=studio.url)
    fetcher = ImageFetcher(studio.client(), fetch_limits(allow_private=True), tmp_path / "cache")
    maker = ProvisionalMaker(settings, database, studio.client(), fetcher, base)
    yield Workplace(studio, settings, database, base, maker)
