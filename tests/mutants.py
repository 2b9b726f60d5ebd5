"""Which changes to the code no test notices: mutants from cosmic-ray's operators, drawn room by room.

    make mutants ARGS="store queue --count 40 --seed 1"
    python tests/mutants.py judging --file gate.py --count 200

A mutant is one changed operator, number, condition or exception; it is killed when a test near its room fails or
takes far too long. Mutants are made in a copy of the checkout. Each is tested in a fork of one process that has
imported the libraries, which takes seconds where a new process takes tens. Prints the mutants that survive as a diff,
and each room's score; some change nothing that can be seen (a speed, a wording), so no score has to be 100 %.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
#: What a fork need not import again; nothing of fbnetv3 or prelabel, whose files change.
LIBRARIES = (
    "torch", "torchvision", "cv2", "PIL.Image", "pycocotools.mask", "onnxruntime",
    "sqlalchemy.orm", "alembic.autogenerate", "flask", "requests", "label_studio_sdk", "huey", "pydantic_settings",
)  # fmt: skip
#: `X | None` is a type, and what a decorator does (`frozen=True`) is for people who change the code.
LEFT_OUT = ("BitOr", "RemoveDecorator", "Variable")
DECORATOR = "@"
#: Seconds: a mutant that loops for ever is killed by them, a busy machine must not kill one.
LEAST_PATIENCE = 60.0


@dataclass(frozen=True)
class Room:
    """Folders of code, and the tests (arguments of pytest) that should notice what happens there."""

    code: tuple[str, ...]
    tests: tuple[str, ...]


#: Left out of their tests is what takes long and would notice nothing that others do not: dice, processes, servers.
ROOMS = {
    "judging": Room(("model/fbnetv3/judging",), ("tests/model/judging", "-k", "not TestErrors")),
    "regions": Room(
        ("backend/prelabel/labelstudio/regions", "backend/prelabel/labelstudio/shapes"),
        (
            "tests/backend/labelstudio/regions",
            "tests/backend/labelstudio/shapes",
            "-k",
            "not nothing_in_a_region",
        ),
    ),
    "store": Room(
        ("backend/prelabel/store",),
        (
            "tests/backend/store",
            "tests/backend/versions/test_records.py",
            "tests/backend/review/test_decisions.py",
            "-k",
            "not postgresql and not every_command and not processes_that",
        ),
    ),
    "queue": Room(
        ("backend/prelabel/queue",), ("tests/backend/queue", "tests/backend/publish/test_promotion.py")
    ),
    "training": Room(("backend/prelabel/training",), ("tests/backend/training", "-k", "not dies_each_time")),
}


@dataclass(frozen=True)
class Mutant:
    """The `occurrence`th place of a file at which an operator of cosmic-ray changes something."""

    file: Path
    operator: str
    occurrence: int

    def diff(self, before: str, after: str) -> str:
        """What it changes, under the file and the line."""
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        return "\n".join([str(self.file), *list(lines)[2:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rooms", nargs="*", help=f"of {', '.join(ROOMS)}; all unless named")
    parser.add_argument("--file", default="*.py", help="only files of this name")
    parser.add_argument("--count", type=int, default=40, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    options = parser.parse_args()
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = copy_of_checkout(Path(folder) / "prelabel")
        for name in options.rooms or ROOMS:
            score(name, tree, drawn(ROOMS[name], options.file, options.count, options.seed))


def copy_of_checkout(tree: Path) -> Path:
    """The files that git knows or would, in a folder that mutants may write to; what tests keep is shared."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    (ROOT / ".build").mkdir(exist_ok=True)
    (tree / ".build").symlink_to(ROOT / ".build")
    return tree


def drawn(room: Room, pattern: str, count: int, seed: int) -> list[Mutant]:
    """So many mutants, at different places; an operator with many forms is no more likely than one with few."""
    files = sorted(file for folder in room.code for file in (ROOT / folder).rglob(pattern))
    places: dict[tuple[Path, object], list[Mutant]] = {}
    for file in files:
        for place, mutant in _mutants(file):
            places.setdefault((file, place), []).append(mutant)
    dice = random.Random(seed)
    chosen = dice.sample(sorted(places, key=str), min(count, len(places)))
    return [dice.choice(places[place]) for place in chosen]


def _mutants(file: Path) -> Iterator[tuple[object, Mutant]]:
    code = file.read_text()
    nodes, lines = list(ast_nodes(get_ast(code))), code.splitlines()
    for name in operator_names():
        if any(part in name for part in LEFT_OUT):
            continue
        operator = get_operator(name)()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if lines[place[0][0] - 1].lstrip().startswith(DECORATOR):
                continue
            yield place, Mutant(file.relative_to(ROOT), name, occurrence)


def score(name: str, tree: Path, mutants: list[Mutant]) -> None:
    """Test the mutants of a room, and say which survive."""
    started = time.monotonic()
    if not passes(tree, ROOMS[name].tests, 3600):
        sys.exit(f"{name}: its tests fail without any mutant")
    patience = max(LEAST_PATIENCE, 5 * (time.monotonic() - started))
    killed = 0
    for mutant in mutants:
        file = tree / mutant.file
        before = file.read_text()
        after = mutate_code(before, get_operator(mutant.operator)(), mutant.occurrence)
        file.write_text(after)
        survives = passes(tree, ROOMS[name].tests, patience)
        file.write_text(before)
        killed += not survives
        if survives:
            print(mutant.diff(before, after), flush=True)
    print(f"{name}: {killed} of {len(mutants)} killed, {time.monotonic() - started:.0f} s", flush=True)


def passes(tree: Path, tests: tuple[str, ...], patience: float) -> bool:
    """Whether the tests pass in time, in a fork of this process."""
    child = os.fork()
    if not child:
        _test(tree, tests)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _test(tree: Path, tests: tuple[str, ...]) -> None:
    """In a fork: becomes the tests and ends with them."""
    os.setpgid(0, 0)
    os.chdir(tree)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    paths = [str(tree / "model"), str(tree / "backend")]
    sys.path[:0] = paths
    os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    code = 1
    try:
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests])
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
