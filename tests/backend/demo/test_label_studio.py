"""What the demo makes of a Label Studio before it starts one: its template, its version, its environment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prelabel.demo.label_studio import (
    DATABASE,
    ENVIRONMENT,
    LabelStudio,
    copy_data,
    find_program,
    has_database,
    installed_version,
)
from prelabel.demo.service import ServiceError, free_port

PREFERRED_PORT = 28146


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A label-studio that writes down its environment, in an environment that says it is version 1.23.9."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    return _executables(folder, python="echo 1.23.9", label_studio=f"env > {tmp_path}/environment; exit 3")


def _executables(folder: Path, python: str, label_studio: str) -> Path:
    for name, script in (("python", python), ("label-studio", label_studio)):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a secret and a database of one row."""
    folder = tmp_path / "data"
    (folder / "media").mkdir(parents=True)
    (folder / ".env").write_text("SECRET_KEY=x")
    (folder / "media" / "photo.jpg").write_bytes(b"pixels")
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("CREATE TABLE row (name)")
        database.execute("INSERT INTO row VALUES ('committed')")
    return folder


def test_a_copy_holds_what_is_committed_while_somebody_writes(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / DATABASE)) as writer:
        writer.execute("INSERT INTO row VALUES ('in the middle of it')")
        copy_data(data, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / DATABASE)) as database:
        assert database.execute("SELECT name FROM row").fetchall() == [("committed",)]


def test_a_copy_holds_every_file_and_nothing_else(data: Path, tmp_path: Path) -> None:
    copy_data(data, tmp_path / "copy")
    copied = {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*")}
    assert copied == {path.relative_to(data) for path in data.rglob("*")}


def test_an_unfinished_data_folder_is_no_hindrance(data: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / ".env").write_text("SECRET_KEY=other")
    copy_data(data, unfinished)
    assert (unfinished / ".env").read_text() == "SECRET_KEY=x" and has_database(unfinished)


def test_a_new_data_folder_comes_from_the_template_of_this_version(
    program: Path, data: Path, tmp_path: Path
) -> None:
    templates = tmp_path / "templates"
    label_studio = LabelStudio(program, tmp_path / "new", port=free_port(PREFERRED_PORT), templates=templates)
    assert label_studio.needs_migrations
    copy_data(data, templates / "label-studio-1.23.9")
    assert not label_studio.needs_migrations
    with label_studio:
        label_studio.start()
    assert has_database(tmp_path / "new")


def test_it_gets_its_settings_and_none_of_ours(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOST", "DATABASE_NAME", "LABEL_STUDIO_API_KEY", "https_proxy"):
        monkeypatch.setenv(name, "not for Label Studio")
    with LabelStudio(
        program, tmp_path / "new", port=free_port(PREFERRED_PORT), templates=tmp_path
    ) as label_studio:
        label_studio.start()
        with pytest.raises(ServiceError, match="exit code 3"):
            label_studio.wait_until_ready(limit=30)
    environment = (tmp_path / "environment").read_text().splitlines()
    assert "not for Label Studio" not in "".join(environment)
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(environment)
    assert f"LABEL_STUDIO_BASE_DATA_DIR={tmp_path / 'new'}" in environment


def test_the_version_is_that_of_the_environment_behind_a_link(program: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(program)
    assert installed_version(tmp_path / "link") == "1.23.9"


def test_a_missing_label_studio_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"There is no program .*/label-studio: `make demo` installs one"):
        find_program(tmp_path / "label-studio")


def test_a_bare_name_is_looked_for_on_the_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert find_program(Path("label-studio")) == program


def test_a_python_without_label_studio_is_told(tmp_path: Path) -> None:
    program = _executables(tmp_path, python="exit 1", label_studio="")
    with pytest.raises(ServiceError, match="does not belong to an environment with label-studio"):
        installed_version(program)
