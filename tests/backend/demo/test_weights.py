"""The demo's choice of weights, and that nothing is fetched unless it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fbnetv3.detector import version_of
from fbnetv3.trial import try_out
from fbnetv3.weights.zoo import ZOO
from prelabel.demo import weights
from prelabel.demo.service import free_port
from prelabel.demo.weights import COCO, demo_weights, readable_weights

CLOSED_PORT = 28147

Choose = Callable[[str, bool], tuple[str, str]]


@pytest.fixture(autouse=True)
def closed_network(bare_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The COCO weights are published where nobody listens, and no weights are on this machine."""
    nowhere = f"https://127.0.0.1:{free_port(CLOSED_PORT)}/"
    monkeypatch.setitem(ZOO, COCO, replace(ZOO[COCO], prefix=nowhere))
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def choose(tmp_path: Path) -> Choose:
    """(the setting, own images?) -> (weights, what was said)."""

    def choose(setting: str, own_images: bool) -> tuple[str, str]:
        said = StringIO()
        console = Console(file=said, width=1000)
        models = tmp_path / "demo"
        return demo_weights(setting, own_images=own_images, models=models, console=console), said.getvalue()

    return choose


def test_scenes_are_labelled_by_the_starter(choose: Choose) -> None:
    assert choose("auto", False) == ("starter", "")


def test_what_the_user_chose_is_taken_for_any_images(choose: Choose) -> None:
    assert choose("mine.safetensors", True) == ("mine.safetensors", "")


@pytest.mark.parametrize("folder", ["home/models", "demo"], ids=["the user's", "fetched by the demo"])
def test_photos_are_labelled_by_coco_weights_that_are_here(
    choose: Choose, tmp_path: Path, folder: str
) -> None:
    file = tmp_path / folder / "coco.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert choose("auto", True) == ("coco", "")


def test_without_a_network_photos_make_do_with_the_starter(choose: Choose) -> None:
    chosen, said = choose("auto", True)
    assert chosen == "starter"
    assert f"Fetching the COCO weights, 2.6 MB, from {ZOO[COCO].url}" in said
    assert "cannot be had" in said and "PRELABEL_WEIGHTS_DIR" in said


def test_what_is_fetched_goes_into_the_demos_own_store(choose: Choose, tmp_path: Path, monkeypatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr(weights, "pull", lambda *given, **_: fetched.append(given))
    assert choose("auto", True)[0] == "coco"
    assert fetched == [("coco", try_out, tmp_path / "demo")]
    assert not (tmp_path / "home").exists()


def test_weights_of_the_users_store_are_named_by_their_file_and_keep_their_version(tmp_path: Path) -> None:
    file = tmp_path / "home" / "models" / "mine.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert readable_weights("mine") == str(file)
    assert version_of(readable_weights("mine"), "d" * 64) == version_of("mine", "d" * 64)


@pytest.mark.parametrize("name", ["starter", "coco", "unknown", "./mine.safetensors", "/x/mine.pth"])
def test_other_weights_are_called_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / "starter.safetensors").touch()
    assert readable_weights(name) == name


def test_provisioned_weights_are_found_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "coco.safetensors").touch()
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / "coco.safetensors").touch()
    assert readable_weights("coco") == "coco"
