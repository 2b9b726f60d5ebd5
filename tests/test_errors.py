"""Errors that a person reads share one base per package, and end a command in one sentence."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fbnetv3.errors import FbnetError
from prelabel.cli import app, common
from prelabel.errors import FORESEEN

ROOT = Path(__file__).resolve().parents[1]

#: Exceptions that only code reads, and why.
INTERNAL = {
    "fbnetv3.data.coco_files.segmentations.NoMask": "the rest of a sentence: becomes a note on the label",
    "fbnetv3.data.coco_files.labels.UnusableLabel": "the rest of a sentence: becomes a note on the label",
    "fbnetv3.weights.download._Interrupted": "makes a download go on where it was",
    "prelabel.inference.outcomes.Abandoned": "stops work that nobody waits for",
    "prelabel.labelstudio.shapes.geometry.RegionError": "the rest of a sentence: becomes a note on the region",
}


def exceptions() -> list[type[Exception]]:
    """Every exception class of the two packages."""
    found = []
    for root in ("model", "backend"):
        for file in sorted((ROOT / root).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            names = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
            if names and "migrations" not in file.parts:
                module = import_module(".".join(file.relative_to(ROOT / root).with_suffix("").parts))
                found += [one for name in names if issubclass(one := getattr(module, name), Exception)]
    return found


CLASSES = exceptions()
READ = [one for one in CLASSES if f"{one.__module__}.{one.__name__}" not in INTERNAL]


def test_every_error_is_of_its_packages_base_or_internal_for_a_reason():
    assert len(CLASSES) > 30
    bases = {"fbnetv3": FbnetError, "prelabel": FORESEEN}  # a version's file is a file of weights
    assert [one for one in READ if not issubclass(one, bases[one.__module__.partition(".")[0]])] == []
    listed = {f"{one.__module__}.{one.__name__}": issubclass(one, FORESEEN) for one in CLASSES}
    assert [name for name in INTERNAL if listed[name]] == []


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_a_command_shows_any_of_them_as_one_sentence(kind, monkeypatch):
    def load_settings(**_):
        raise kind.__new__(kind, "the disk [sda] is full")

    monkeypatch.setattr(common, "load_settings", load_settings)
    result = CliRunner().invoke(app, ["stats", "--project", "1"])
    assert result.exit_code == 1
    assert result.stderr == "error: the disk [sda] is full\n"


def test_a_bug_is_not_worded_as_a_persons_mistake(monkeypatch):
    def load_settings(**_):
        raise KeyError("port")

    monkeypatch.setattr(common, "load_settings", load_settings)
    assert isinstance(CliRunner().invoke(app, ["stats", "--project", "1"]).exception, KeyError)
