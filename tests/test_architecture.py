"""The structure that docs/architecture.md promises: which package may import which, and that docs name real things."""

import ast
import re
from pathlib import Path

import pytest
import typer

from prelabel.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])

#: package -> packages of the project that nothing in it may import, at any depth, not even inside a function.
FORBIDDEN = {
    "model/fbnetv3": ["prelabel"],
    "model/fbnetv3/network": ["fbnetv3.training", "fbnetv3.detector", "fbnetv3.weights", "fbnetv3.scenes"],
    "model/fbnetv3/weights": ["fbnetv3.network", "fbnetv3.training", "fbnetv3.detector"],
    "model/fbnetv3/prompts": [f"fbnetv3.{name}" for name in ("network", "detector", "learning", "weights")],
    "model/fbnetv3/classification": [f"fbnetv3.{name}" for name in ("judging", "finetuning", "simulation")],
    "model/fbnetv3/learning": [f"fbnetv3.{name}" for name in ("judging", "finetuning", "simulation")],
    "model/fbnetv3/judging": [
        f"fbnetv3.{name}" for name in ("finetuning", "simulation", "active_learning", "review")
    ],
    "model/fbnetv3/active_learning": [f"fbnetv3.{name}" for name in ("finetuning", "simulation", "review")],
    "model/fbnetv3/review": ["fbnetv3.simulation", "fbnetv3.active_learning"],
    "model/fbnetv3/finetuning": ["fbnetv3.simulation"],
    "backend/prelabel/labelstudio": [
        f"prelabel.{name}" for name in ("projects", "server", "cli", "demo", "store", "jobs")
    ],
    "backend/prelabel/store": [
        f"prelabel.{name}" for name in ("projects", "server", "cli", "demo", "labelstudio", "jobs")
    ],
    "backend/prelabel/projects": [f"prelabel.{name}" for name in ("server", "cli", "demo", "jobs")],
    "backend/prelabel/jobs": [f"prelabel.{name}" for name in ("server", "cli", "demo")],
    "backend/prelabel/server": [f"prelabel.{name}" for name in ("cli", "demo")],
    "backend/prelabel/demo": ["prelabel.cli"],
}


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_run_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        wrong = [
            name
            for name in imports(file)
            for forbidden in FORBIDDEN[package]
            if name == forbidden or name.startswith(f"{forbidden}.")
        ]
        assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_every_module_says_what_it_is_for():
    for file in [*(ROOT / "model").rglob("*.py"), *(ROOT / "backend").rglob("*.py")]:
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


def commands() -> set[str]:
    root = typer.main.get_command(app)
    names = set()
    for name, command in root.commands.items():
        names |= {f"{name} {sub}" for sub in command.commands} if hasattr(command, "commands") else {name}
    return names


def test_every_command_is_documented():
    text = "\n".join(file.read_text(encoding="utf-8") for file in DOCS)
    assert len(commands()) >= 12
    assert not [name for name in commands() if f"prelabel {name}" not in text]


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.name)
def test_links_between_docs_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (file.parent / target).exists(), target


def test_the_readme_sets_up_with_two_commands_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^    make (\w+)", text, re.MULTILINE))
    assert targets == {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_architecture_page_names_every_package():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for root in ("model/fbnetv3", "backend/prelabel"):
        for folder in (path.parent for path in (ROOT / root).glob("*/__init__.py")):
            assert f"{folder.name}/" in text, folder
