"""The structure that docs/architecture.md promises: which package may import which, and that docs name real things."""

import ast
import graphlib
import pkgutil
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
import typer

from prelabel.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
PAGES = [*DOCS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

FOLDERS = ("backend/", "model/", "tests/", "benchmarks/", "docker/", "docs/")
"""Names in docs that begin so are paths of the repository."""

NOT_IN_THE_REPOSITORY = {"docker/compose.override.yaml"}
"""Paths in docs of files that people make."""

FILES_OF_PRELABEL = {"prelabel.sqlite3", "prelabel.log", "prelabel.token"}
"""Names in docs that look like modules and are files that prelabel writes."""

#: Rooms (folders and modules) from the ground up: each imports rooms of earlier lines only, at any depth.
ORDERS = {
    "model/fbnetv3": """
        architectures arrays errors files cut_jpeg
        brightness config cut_images instances
        images overlap pasting network scenes weights
        data drawing edges factory
        engines training trial
        class_scores folds
        image_features recipes
        prompts
        detector
        classification exporting
        judging
        active_learning finetuning provisional
        review simulation
    """,
    "backend/prelabel": """
        errors ids logs
        settings
        store
        folders labelstudio
        inference labels
        versions
        connect publish
        queue training
        provisional
        overview review worker
        console
        server demo
        cli
        __main__
    """,
    "backend/prelabel/labelstudio": """
        errors shapes
        urls
        api
        fetching
        config
        regions
    """,
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


def rooms_of(package: str) -> dict[str, list[Path]]:
    """Name of each folder or module in a package -> its files."""
    found: dict[str, list[Path]] = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        inside = file.relative_to(ROOT / package)
        if inside.name != "__init__.py" or len(inside.parts) > 1:
            found.setdefault(Path(inside.parts[0]).stem, []).append(file)
    return found


@pytest.mark.parametrize("package", ORDERS)
def test_every_room_has_its_place_in_the_order(package):
    assert sorted(ORDERS[package].split()) == sorted(rooms_of(package))


@pytest.mark.parametrize("package", ORDERS)
def test_imports_run_one_way(package):
    name = ".".join(Path(package).parts[1:])
    floors = [line.split() for line in ORDERS[package].strip().splitlines()]
    floor_of = {room: floor for floor, rooms in enumerate(floors) for room in rooms}
    wrong = []
    for room, files in rooms_of(package).items():
        for file in files:
            for imported in imports(file):
                other = imported.removeprefix(f"{name}.").partition(".")[0]
                is_inside = imported.startswith(f"{name}.") and other in floor_of and other != room
                if is_inside and floor_of[other] >= floor_of[room]:
                    wrong.append(f"{file.relative_to(ROOT)} imports {imported}")
    assert not wrong


def test_no_module_imports_itself_through_others():
    modules = {}
    for file in [*(ROOT / "model").rglob("*.py"), *(ROOT / "backend").rglob("*.py")]:
        parts = file.relative_to(ROOT).with_suffix("").parts[1:]
        if parts[-1] != "__init__":
            modules[".".join(parts)] = file
    graph = {
        name: {found for one in imports(file) for found in (one, one.rpartition(".")[0]) if found in modules}
        for name, file in modules.items()
    }
    assert len(graph) > 300
    list(graphlib.TopologicalSorter(graph).static_order())


def test_the_model_knows_nothing_of_the_application():
    for file in (ROOT / "model").rglob("*.py"):
        assert not [name for name in imports(file) if name.partition(".")[0] == "prelabel"], file


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


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_lines_of_docs_end_before_column_120(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    long = [f"{file.relative_to(ROOT)}:{number}" for number, line in enumerate(lines, 1) if len(line) > 119]
    assert not long


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_rows_of_tables_in_docs_have_the_cells_of_their_heads(file):
    """A paragraph that was wrapped with a table in it is one no more."""
    lines = [line.replace("\\|", "") for line in file.read_text(encoding="utf-8").splitlines()]
    broken = []
    for number, line in enumerate(lines):
        if re.search(r"\|\s*:?-{3,}", line):
            rows = takewhile(lambda row: row.startswith("|"), lines[number - 1 :])
            ruled = re.fullmatch(r"(\|[\s:-]+)+\|", line)
            if not ruled or len({row.count("|") for row in rows}) > 1:
                broken.append(f"{file.relative_to(ROOT)}:{number + 1}")
    assert not broken


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Every Python file of the project, as `/backend/prelabel/...`."""
    folders = ("backend", "model", "tests", "benchmarks")
    return [f"/{path.relative_to(ROOT)}" for folder in folders for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_paths_in_docs_exist(file, tracked):
    """`model/...` from the root of the repository; `shapes/table.py` or `evidence.py` by its end."""
    names = {name.rstrip(".") for name in re.findall(r"\w[\w./-]*", file.read_text(encoding="utf-8"))}
    paths = {name for name in names if name.startswith(FOLDERS)} - NOT_IN_THE_REPOSITORY
    modules = {name for name in names if name.endswith(".py")} - paths
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing + [name for name in modules if not any(path.endswith(f"/{name}") for path in tracked)]


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.name)
def test_modules_in_docs_can_be_imported(file):
    """`fbnetv3.judging.Effort` and its like; the changelog may name what is gone."""
    text = file.read_text(encoding="utf-8")
    for name in set(re.findall(r"\b(?:fbnetv3|prelabel)(?:\.[A-Za-z_]\w*)+", text)) - FILES_OF_PRELABEL:
        pkgutil.resolve_name(name)


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


def test_the_command_line_answers_without_heavy_imports():
    heavy = {"torch", "onnxruntime", "label_studio_sdk", "matplotlib", "tensorboard"}
    code = f"import sys, prelabel.cli; print({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
