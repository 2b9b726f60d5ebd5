"""`--help`: every command and every option says in a sentence of its own what it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from prelabel.cli import app

SHORTEST = 20
"""Characters; "Lowest score." leaves open what of."""


def commands(command: Any, name: str = "prelabel") -> Iterator[tuple[str, Any]]:
    yield name, command
    for sub, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {sub}")


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_whole_sentences(name: str) -> None:
    command = COMMANDS[name]
    texts = {"": command.help} | {
        one.name: one.help
        for one in command.params
        if one.name not in ("install_completion", "show_completion")
    }
    for parameter, text in texts.items():
        assert text and len(text) >= SHORTEST, (name, parameter, text)
        assert text[0].isupper() and text.rstrip()[-1] in ".]", (name, parameter, text)
