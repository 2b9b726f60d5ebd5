"""Reads docker/Dockerfile as far as the tests need: its stages, instructions, shell commands."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"

_PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = _PYPROJECT["project"]
PACKAGES = _PYPROJECT["tool"]["setuptools"]["package-dir"]
"""Of pyproject.toml: the project table, and the folder of each package."""


@dataclass(frozen=True)
class Stage:
    """What stands between two FROM lines; `instructions` are (keyword, value), lines joined."""

    base: str
    name: str
    instructions: tuple[tuple[str, str], ...]

    def values(self, keyword: str) -> list[str]:
        """The values of all instructions of this kind."""
        return [value for word, value in self.instructions if word == keyword]

    def value(self, keyword: str) -> str:
        """The value of the only instruction of this kind."""
        [value] = self.values(keyword)
        return value

    def pairs(self, keyword: str) -> dict[str, str]:
        """The name=value pairs of ENV or LABEL."""
        words = (word for value in self.values(keyword) for word in shlex.split(value))
        return dict(word.split("=", 1) for word in words)

    @property
    def commands(self) -> list[list[str]]:
        """The shell commands of all RUN lines as words, those joined by && one by one."""
        lines = (re.sub(r"^(--\S+\s+)+", "", value) for value in self.values("RUN"))
        return [shlex.split(command) for line in lines for command in line.split("&&")]

    @property
    def healthcheck(self) -> list[str]:
        """The command of the health check as words."""
        return exec_form(self.value("HEALTHCHECK").partition("CMD")[2])


def exec_form(value: str) -> list[str]:
    """The words of a command that starts without a shell. Raises ValueError for one that has a shell."""
    words = json.loads(value)
    assert isinstance(words, list)
    return words


def read_stages(path: Path = DOCKERFILE) -> list[Stage]:
    """The stages in order, the one that becomes the image last."""
    stages: list[Stage] = []
    for keyword, value in _instructions(path.read_text(encoding="utf-8")):
        if keyword == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(base, name, ()))
        else:
            last = stages.pop()
            stages.append(Stage(last.base, last.name, (*last.instructions, (keyword, value))))
    return stages


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    words = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(keyword.upper(), value) for keyword, value in words]
