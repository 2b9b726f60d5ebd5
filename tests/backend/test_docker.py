"""The Dockerfile against the code: variables, port, paths, commands, versions. No Docker is needed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from dockerfile import PACKAGES, PROJECT, ROOT, exec_form, read_stages
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from serving import Serving

from prelabel.cli import app
from prelabel.settings import Settings, environment_name, load_settings

BASE, BUILD, IMAGE = read_stages()
COPIED = [source for value in BUILD.values("COPY") for source in value.split()[:-1]]

NOT_OURS = {"PATH", "PYTHONUNBUFFERED", "OMP_WAIT_POLICY"}
"""The variables of the image that somebody else reads: the shell, Python, OpenMP."""

DOCS = ROOT / "docs" / "docker.md"
DOCUMENTED = re.findall(
    r"^    docker(?: compose)? exec prelabel (prelabel .*?)(?: +#.*)?$", DOCS.read_text(), re.M
)


def check_command(words: list[str]) -> None:
    """Fails where `prelabel` would refuse these words; runs nothing."""
    script, *words = words
    assert PROJECT["scripts"][script] == "prelabel.cli:main"
    command: Any = typer.main.get_command(app)
    while subcommands := getattr(command, "commands", None):
        name, *words = words
        command = subcommands[name]
    command.make_context(name, words)


def test_the_python_of_the_image_is_one_that_the_project_supports() -> None:
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", BASE.base)[1]  # type: ignore[index]
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert [BUILD.base, IMAGE.base] == [BASE.name, BASE.name], "the environment would miss its interpreter"


def test_the_pair_from_pytorchs_index_has_the_ranges_of_the_project() -> None:
    [command] = [words for words in BUILD.commands if "--index-url" in words]
    assert command[command.index("--index-url") + 1] == "https://download.pytorch.org/whl/cpu"
    pair = {Requirement(word) for word in command if word.startswith("torch")}
    declared = {Requirement(text) for text in PROJECT["dependencies"] if text.startswith("torch")}
    assert pair == declared and len(pair) == 2
    assert BUILD.commands.index(command) < len(BUILD.commands) - 1, "PyPI's torch would be there first"


def test_what_is_copied_is_what_the_package_is_made_of() -> None:
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    needed |= {folder.partition("/")[0] for folder in PACKAGES.values()}
    assert set(COPIED) == needed
    assert all((ROOT / source).exists() for source in COPIED)


def test_nothing_else_is_sent_to_docker() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(COPIED)


def test_the_environment_is_copied_to_where_it_was_made() -> None:
    source, target = IMAGE.value("COPY").removeprefix(f"--from={BUILD.name} ").split()
    assert source == target
    assert IMAGE.pairs("ENV")["PATH"].split(":")[0] == f"{target}/bin"
    assert all(target in " ".join(command) for command in BUILD.commands)


def test_the_variables_of_the_image_are_settings(bare_environment: None) -> None:
    variables = IMAGE.pairs("ENV")
    known = {environment_name(field) for field in Settings.model_fields}
    assert variables.keys() - NOT_OURS <= known
    ours = {name.lower(): value for name, value in variables.items() if name not in NOT_OURS}
    settings = load_settings(**ours)
    assert settings.host == "0.0.0.0", "nobody outside the container would reach it"
    assert settings.port == Settings.model_fields["port"].default == int(IMAGE.value("EXPOSE"))
    assert str(settings.prelabel_home) == IMAGE.value("VOLUME")


def test_the_user_is_not_root_and_owns_the_volume() -> None:
    user = IMAGE.value("USER")
    [make_user] = [words for words in IMAGE.commands if words[0] == "useradd"]
    [make_folder] = [words for words in IMAGE.commands if words[0] == "install"]
    assert user.isdigit() and int(user) > 0
    assert make_user[make_user.index("--uid") + 1] == user
    assert f"--owner={make_user[-1]}" in make_folder
    assert make_folder[-1] == IMAGE.value("VOLUME") == make_user[make_user.index("--home-dir") + 1]
    steps = [keyword for keyword, _ in IMAGE.instructions]
    assert steps.index("RUN") < steps.index("USER") < steps.index("VOLUME")


def test_the_image_has_no_tools_to_build_with() -> None:
    assert IMAGE.commands[0][:2] == ["pip", "uninstall"]
    assert {"pip", "setuptools", "wheel"} <= set(IMAGE.commands[0])
    installers = {"apt-get", "apt", "curl", "wget"}
    assert not installers & {words[0] for stage in (BUILD, IMAGE) for words in stage.commands}


def test_the_command_is_one_of_prelabels() -> None:
    words = exec_form(IMAGE.value("CMD"))
    check_command(words)
    with pytest.raises(Exception, match="No such option"):
        check_command([*words, "--no-such-option"])


def test_the_health_check_asks_a_route_without_password(serve: Any, load: Any) -> None:
    serving: Serving = serve(load, basic_auth_user="ann", basic_auth_pass="sesame")
    route = re.search(r"\}(/\w+)", " ".join(IMAGE.healthcheck))[1]  # type: ignore[index]
    assert route in serving.routes
    assert serving.client.get(route).status_code == 200


def test_the_labels_say_what_the_project_says() -> None:
    labels = {name.rpartition(".")[2]: value for name, value in IMAGE.pairs("LABEL").items()}
    assert labels["title"] == PROJECT["name"]
    assert labels["version"] == PROJECT["version"]
    assert labels["licenses"] == PROJECT["license"]


@pytest.mark.parametrize("line", DOCUMENTED)
def test_the_documented_commands_exist(line: str) -> None:
    check_command(line.split())


def test_connecting_is_documented() -> None:
    assert f"prelabel connect --project 1 --url http://prelabel:{IMAGE.value('EXPOSE')}" in DOCUMENTED
