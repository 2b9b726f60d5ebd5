"""The steps of docker/Dockerfile in a clean virtual environment, and prelabel served from it as in the image.

pip runs the very lines of the build stage, on a copy of the very files that it copies. Only the pair from
PyTorch's own index is not downloaded: the torch and torchvision of these tests stand in.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytest
import requests
from dockerfile import PACKAGES, PROJECT, ROOT, exec_form, read_stages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from prelabel.demo.service import free_port

_, BUILD, IMAGE = read_stages()
PLACE = IMAGE.value("COPY").split()[-1]

PREFERRED_PORT = 28170
START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 40


def pip_environment() -> dict[str, str]:
    """This environment without what leads Python elsewhere; wheels only, for the image has no compiler."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, **BUILD.pairs("ENV"), "PIP_ONLY_BINARY": ":all:", "PIP_NO_COMPILE": "1"}


def copy_sources(target: Path) -> None:
    """What the build stage copies, laid out as there."""
    for line in BUILD.values("COPY"):
        *sources, place = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(ROOT / source, target / place, ignore=ignored)
            else:
                shutil.copy(ROOT / source, target / place)


def with_requirements(names: Iterable[str]) -> set[str]:
    """The distributions of these names and all that they need, as installed for these tests."""
    found, open_names = set(), {canonicalize_name(name) for name in names}
    while open_names:
        name = open_names.pop()
        found.add(name)
        needed = map(Requirement, metadata.requires(name) or ())
        plain = (one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""}))
        open_names |= {canonicalize_name(one.name) for one in plain} - found
    return found


def lend(requirements: list[Requirement], environment: Path, folder: Path) -> None:
    """Let the environment see what pip would install for these, as links in a folder that it reads.

    The folder is outside the environment, so that pip would refuse to change what it finds there.
    """
    folder.mkdir()
    for wanted in requirements:
        assert wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    for name in with_requirements(wanted.name for wanted in requirements):
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for top in tops - {path.name for path in folder.iterdir()}:
            (folder / top).symlink_to(str(distribution.locate_file(top)))
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "stand_ins.pth").write_text(f"{folder}\n")


def run_build(environment: Path, sources: Path) -> None:
    """The shell commands of the build stage, in order; raises CalledProcessError with pip's output shown."""
    tools = {"python": [sys.executable], "pip": [sys.executable, "-m", "pip"]}
    for command in BUILD.commands:
        program, *words = [word.replace(PLACE, str(environment)) for word in command]
        if "--index-url" in words:
            pair = [Requirement(word) for word in words[words.index("--index-url") + 2 :]]
            lend(pair, environment, environment.with_name("stand_ins"))
        else:
            subprocess.run([*tools[program], *words], cwd=sources, env=pip_environment(), check=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The virtual environment that would be copied into the image; half a gigabyte, and so removed."""
    folder = tmp_path_factory.mktemp("image")
    sources = folder / "src"
    sources.mkdir()
    copy_sources(sources)
    run_build(folder / "environment", sources)
    yield folder / "environment"
    shutil.rmtree(folder)


@pytest.fixture
def variables(environment: Path, tmp_path: Path) -> dict[str, str]:
    """All variables that a process has in the container, but on a port and a folder that are free here."""
    path = IMAGE.pairs("ENV")["PATH"].replace(PLACE, str(environment)).replace("$PATH", os.defpath)
    here = {
        "HOST": "127.0.0.1",
        "PORT": str(free_port(PREFERRED_PORT)),
        "PRELABEL_HOME": str(tmp_path / "data"),
    }
    return {**IMAGE.pairs("ENV"), **here, "PATH": path, "HOME": str(tmp_path / "data")}


def program(environment: Path, words: list[str]) -> list[str]:
    """The command with its program as the container's PATH finds it."""
    return [str(environment / "bin" / words[0]), *words[1:]]


@contextmanager
def served(environment: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The image's command as a process, ended whatever happens."""
    command = program(environment, exec_form(IMAGE.value("CMD")))
    with subprocess.Popen(command, env=variables, cwd="/", start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def is_healthy(environment: Path, variables: dict[str, str]) -> bool:
    """What Docker would find with the image's own health check."""
    check = subprocess.run(
        program(environment, IMAGE.healthcheck), env=variables, cwd="/", capture_output=True, check=False
    )
    return check.returncode == 0


def wait_until_healthy(
    environment: Path, variables: dict[str, str], process: subprocess.Popen[bytes]
) -> None:
    """Return at the first check that passes; fails where the process ends first, or takes too long."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not is_healthy(environment, variables):
        assert process.poll() is None, f"ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, "is not healthy"
        time.sleep(0.5)


def test_every_file_of_the_packages_is_installed(environment: Path) -> None:
    """Weights, py.typed and whatever comes later: what only the sources have works on no other machine."""
    [packages] = environment.glob("lib/python*/site-packages")
    for name, folder in PACKAGES.items():
        sources = {file.relative_to(ROOT / folder) for file in (ROOT / folder).rglob("*") if file.is_file()}
        sources = {file for file in sources if "__pycache__" not in file.parts}
        assert Path("py.typed") in sources
        assert not sorted(map(str, (file for file in sources if not (packages / name / file).is_file())))


def test_only_what_runs_is_installed(environment: Path) -> None:
    [packages] = environment.glob("lib/python*/site-packages")
    found = {item.metadata["Name"].lower() for item in metadata.distributions(path=[str(packages)])}
    assert {PROJECT["name"], "flask", "gunicorn", "label-studio-sdk"} <= found
    assert not found & {"pip", "wheel", "pytest", "ruff", "mypy", "opencv-python"}
    assert not (environment / "bin" / "pip").exists()


def test_it_serves_and_ends_as_docker_wants(environment: Path, variables: dict[str, str]) -> None:
    assert not is_healthy(environment, variables)
    with served(environment, variables) as process:
        wait_until_healthy(environment, variables, process)
        health = requests.get(f"http://127.0.0.1:{variables['PORT']}/health", timeout=5).json()
        assert health["version"] == PROJECT["version"]
        assert (Path(variables["PRELABEL_HOME"]) / "prelabel.sqlite3").is_file()
        process.send_signal(getattr(signal, IMAGE.value("STOPSIGNAL")))
        assert process.wait(STOP_LIMIT_SECONDS) == 0
    assert not is_healthy(environment, variables)


def test_the_network_runs(environment: Path, variables: dict[str, str]) -> None:
    """torch, torchvision, OpenCV and pycocotools find the libraries that they need."""
    script = (
        "import cv2, pycocotools.mask, torchvision.ops, label_studio_sdk, fbnetv3\n"
        "print(fbnetv3.__file__)\n"
        "fbnetv3.create_model(fbnetv3.list_models()[0])\n"
    )
    command = program(environment, ["python", "-c", script])
    answer = subprocess.run(command, env=variables, cwd="/", stdout=subprocess.PIPE, text=True, check=True)
    assert Path(answer.stdout.strip()).is_relative_to(environment)
