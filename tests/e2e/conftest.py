"""One real Label Studio and one prelabel server for all end-to-end tests: those of the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium_page
from playwright.sync_api import Page
from rich.console import Console

from prelabel.demo.run import Demo, DemoOptions, running_demo
from prelabel.labelstudio.api.client import LabelStudioClient

ROOT = Path(__file__).parents[2]
LABEL_STUDIO_PORT, PRELABEL_PORT = 28140, 28141


@pytest.fixture(scope="session")
def label_studio_program() -> Path:
    """The label-studio program: LABEL_STUDIO_BIN, or the one that `make` installs."""
    program = Path(os.environ.get("LABEL_STUDIO_BIN") or ROOT / ".venv-labelstudio" / "bin" / "label-studio")
    if not program.is_file():
        reason = f"no Label Studio at {program}: `make test` installs it, LABEL_STUDIO_BIN names another one"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return program


@pytest.fixture(scope="session")
def templates() -> Path:
    """Where migrated databases are kept from run to run: they save a minute or two."""
    return ROOT / ".build" / "templates"


@pytest.fixture(scope="session")
def demo(
    label_studio_program: Path, templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """The demo, up, its generated scenes pre-labelled."""
    options = DemoOptions(
        label_studio_program,
        data=tmp_path_factory.mktemp("demo"),
        templates=templates,
        label_studio_port=LABEL_STUDIO_PORT,
        prelabel_port=PRELABEL_PORT,
    )
    with running_demo(options, Console(stderr=True)) as running:
        yield running


@pytest.fixture(scope="session")
def client(demo: Demo) -> LabelStudioClient:
    """Label Studio as the demo's user."""
    return LabelStudioClient(demo.label_studio.url, demo.backend.access_token)


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a headless browser."""
    with chromium_page() as page:
        yield page
