"""The demo's server: all that it keeps is its own, whatever the user's environment says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fbnetv3.weights import default_folder
from prelabel.demo.backend import Backend
from prelabel.settings import load_settings

USERS = {
    "PRELABEL_HOME": "/user",
    "MODEL_DIR": "/user/models",
    "PRELABEL_DATABASE_URL": "postgresql://user@host/real",
    "PRELABEL_QUEUE_URL": "redis://host/0",
    "PRELABEL_WEIGHTS_DIR": "/user/weights",
}


@pytest.fixture
def backend(bare_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backend:
    """In a folder that is named as on the command line."""
    for name, value in USERS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Backend(Path(".demo/prelabel"), "starter", "http://127.0.0.1:8080", "token", 9090)


def test_nothing_of_the_server_is_kept_elsewhere(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name, value in backend.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    settings, home = load_settings(), tmp_path / ".demo" / "prelabel"
    assert settings.prelabel_home == home
    assert settings.model_folder == default_folder() == home / "models"
    assert settings.database_url == f"sqlite:///{home}/prelabel.sqlite3"
    assert settings.prelabel_queue_url is None
    assert settings.prelabel_weights_dir == Path("/user/weights")


def test_what_this_process_makes_lies_there_too_and_only_meanwhile(backend: Backend, tmp_path: Path) -> None:
    before = dict(os.environ)
    with backend.environment_here():
        assert default_folder() == tmp_path / ".demo" / "prelabel" / "models"
    assert dict(os.environ) == before
    assert default_folder() == Path("/user/models")
