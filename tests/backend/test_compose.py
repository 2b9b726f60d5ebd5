"""The compose file against the code, the Dockerfile and the demo: variables, ports, volumes, secrets."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml
from dockerfile import PROJECT, ROOT, read_stages
from packaging.specifiers import SpecifierSet

from prelabel.demo.label_studio import ENVIRONMENT as DEMO_LABEL_STUDIO
from prelabel.server.process import GRACEFUL_SECONDS
from prelabel.settings import CONFIDENTIAL, Settings, environment_name, load_settings

FILE = ROOT / "docker" / "compose.yaml"
EXAMPLE = ROOT / "docker" / ".env.example"
DOCS = ROOT / "docs" / "docker.md"
IMAGE = read_stages()[-1]

ACCOUNT = {"LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD"}


@pytest.fixture(scope="module")
def compose() -> Any:
    """The compose file as it stands, variables not filled in."""
    return yaml.safe_load(FILE.read_text())


@pytest.fixture(scope="module")
def label_studio(compose: Any) -> Any:
    """The service of Label Studio."""
    return compose["services"]["label-studio"]


@pytest.fixture(scope="module")
def prelabel(compose: Any) -> Any:
    """The service of prelabel."""
    return compose["services"]["prelabel"]


def test_compose_builds_this_image(prelabel: Any) -> None:
    context = (ROOT / "docker" / prelabel["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / prelabel["build"]["dockerfile"]).is_file()
    assert prelabel["image"] == f"{PROJECT['name']}:{PROJECT['version']}"


def test_label_studio_is_of_the_line_that_the_tests_run_against(label_studio: Any) -> None:
    line = re.search(r"^LABEL_STUDIO := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]  # type: ignore[index]
    name, _, version = label_studio["image"].partition(":")
    assert name == "heartexlabs/label-studio"
    assert version in SpecifierSet(f"~={line}.0")


def test_the_variables_of_prelabel_are_settings(prelabel: Any, bare_environment: None) -> None:
    variables = prelabel["environment"]
    assert variables.keys() <= {environment_name(field) for field in Settings.model_fields}
    settings = load_settings(**{name.lower(): value for name, value in variables.items()})
    assert settings.label_studio_url == variables["LABEL_STUDIO_URL"]


def test_label_studio_is_set_up_as_in_the_demo(label_studio: Any) -> None:
    """The demo's environment is held by the end-to-end tests: request guard off, no call to the outside."""
    shared = {name: value for name, value in DEMO_LABEL_STUDIO.items() if name not in ACCOUNT}
    assert shared["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert shared.items() <= label_studio["environment"].items()


def test_each_service_finds_the_other(compose: Any, label_studio: Any, prelabel: Any) -> None:
    url = prelabel["environment"]["LABEL_STUDIO_URL"]
    host, port = re.fullmatch(r"http://([\w-]+):(\d+)", url).groups()  # type: ignore[union-attr]
    assert compose["services"][host] is label_studio
    assert label_studio["ports"][0].rpartition(":")[2] == port
    assert f"127.0.0.1:{port}/health" in label_studio["healthcheck"]["test"][-1]
    assert prelabel["ports"][0].rpartition(":")[2] == IMAGE.value("EXPOSE")
    assert prelabel["depends_on"] == {host: {"condition": "service_healthy"}}


def test_nobody_outside_the_machine_is_served(compose: Any) -> None:
    ports = [port for service in compose["services"].values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_stands_in_the_file(compose: Any, label_studio: Any, prelabel: Any) -> None:
    for name in ("LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"):
        assert re.fullmatch(rf"\$\{{{name}:\?[^{{}}]+\}}", label_studio["environment"][name])
    shared = "${LABEL_STUDIO_API_KEY:-${LABEL_STUDIO_USER_TOKEN}}"
    assert prelabel["environment"]["LABEL_STUDIO_API_KEY"] == shared
    confidential = {environment_name(field) for field in CONFIDENTIAL}
    assert confidential & prelabel["environment"].keys() == {"LABEL_STUDIO_API_KEY"}


def test_what_must_be_kept_is_in_volumes(compose: Any, label_studio: Any, prelabel: Any) -> None:
    mounts = [mount.split(":") for mount in label_studio["volumes"] + prelabel["volumes"]]
    assert {name for name, _ in mounts} == compose["volumes"].keys()
    assert [target for _, target in mounts] == ["/label-studio/data", IMAGE.value("VOLUME")]


def test_requests_under_way_may_end(prelabel: Any) -> None:
    assert int(prelabel["stop_grace_period"].removesuffix("s")) > GRACEFUL_SECONDS
    assert IMAGE.value("STOPSIGNAL") == "SIGTERM", "the signal that gunicorn ends gently on"


def test_the_example_names_every_variable_of_the_compose_file() -> None:
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    example = EXAMPLE.read_text()
    assert set(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == used
    assert not {name for name in used if f"`{name}`" not in DOCS.read_text()}


def test_the_example_holds_no_secret() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert {"LABEL_STUDIO_PASSWORD=", "LABEL_STUDIO_USER_TOKEN=", "#LABEL_STUDIO_API_KEY="} <= set(lines)


def test_git_never_sees_the_secrets() -> None:
    command = ["git", "-C", str(ROOT), "check-ignore", "--quiet", "docker/.env"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    assert subprocess.run(command, check=False).returncode == 0
