"""docs/projects.md knows every option of the commands and every link of the doctor's chain."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from prelabel.cli import app
from prelabel.connect.doctor import CHAIN

TEXT = (Path(__file__).parents[2] / "docs" / "projects.md").read_text()
SECTIONS = {section.partition("\n")[0]: section for section in TEXT.split("\n## ")}


def options(command: str) -> list[str]:
    commands = vars(typer.main.get_command(app))["commands"]
    return [name for option in commands[command].params for name in option.opts]


@pytest.mark.parametrize("command", ["connect", "annotate", "doctor"])
def test_every_option_is_documented(command: str) -> None:
    assert [name for name in options(command) if f"`{name}`" not in SECTIONS[command]] == []


def test_the_links_are_documented_in_order() -> None:
    rows = [line.split("`")[1] for line in SECTIONS["doctor"].splitlines() if line.startswith("| `")]
    assert rows[: len(CHAIN)] == [link.name for link in CHAIN]
