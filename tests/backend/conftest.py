"""Fixtures of the backend's tests: an image server, a store, and the app with a quick detector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from default_limits import fetch_limits, predictor_options
from flask.testing import FlaskClient
from label_studio_stand_in import LabelStudioStandIn, label_studio_stand_in
from postgres import postgres, programs
from serving import ColourDetector, Serving, image_server
from sqlalchemy import create_engine, text

from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.server import ml_backend
from prelabel.settings import Settings, environment_name, load_settings
from prelabel.store.database import Database


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment of whoever runs the tests."""
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)


@pytest.fixture(scope="session")
def host() -> Iterator[str]:
    """host:port of the image server."""
    with image_server() as host:
        yield host


@pytest.fixture
def studio() -> Iterator[LabelStudioStandIn]:
    """A Label Studio without tasks."""
    with label_studio_stand_in() as studio:
        yield studio


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    database = Database.open(f"sqlite:///{tmp_path}/new/folder/prelabel.sqlite3")
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    with postgres(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/prelabel.sqlite3"
    server, name = request.getfixturevalue("postgres_server"), f"test_{uuid4().hex}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{server}/{name}"


@pytest.fixture
def load(host: str, tmp_path: Path, bare_environment: None) -> Callable[[], Predictor]:
    """A quick stand-in for loading the network; the image server is its Label Studio."""
    client = LabelStudioClient(f"http://{host}", "legacy-token")
    folder = load_settings(prelabel_home=tmp_path).image_cache_path
    fetcher = ImageFetcher(client, fetch_limits(allow_private=True, total_timeout=5), folder)
    return lambda: Predictor(ColourDetector(), fetcher, predictor_options())


@pytest.fixture
def serve(tmp_path: Path, database: Database, bare_environment: None) -> Callable[..., Serving]:
    """Makes an app from a function that loads its predictor, and settings."""
    return lambda load, **settings: Serving(tmp_path, database, load, **settings)


@pytest.fixture
def client(serve: Callable[..., Serving], load: Callable[[], Predictor]) -> FlaskClient:
    """Asks an app whose model is ready."""
    serving = serve(load)
    serving.model.predictor(10)
    return serving.client


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A model that loads until the event is set, and routes that wait for it a moment only."""
    monkeypatch.setattr(ml_backend, "SETUP_PATIENCE", 0.05)
    monkeypatch.setattr(ml_backend, "PREDICT_PATIENCE", 0.05)
    event = threading.Event()
    yield event
    event.set()
