"""The demo's choice of weights, and that nothing is fetched unless it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fbnetv3.weights.zoo import ZOO
from prelabel.demo.service import free_port
from prelabel.demo.weights import COCO, demo_weights

CLOSED_PORT = 28147

Choose = Callable[[str, bool], tuple[str, str]]


@pytest.fixture(autouse=True)
def closed_network(bare_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The COCO weights are published where nobody listens, and no weights are on this machine."""
    nowhere = f"https://127.0.0.1:{free_port(CLOSED_PORT)}/"
    monkeypatch.setitem(ZOO, COCO, replace(ZOO[COCO], prefix=nowhere))
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def choose() -> Choose:
    """(the setting, own images?) -> (weights, what was said)."""

    def choose(setting: str, own_images: bool) -> tuple[str, str]:
        said = StringIO()
        return demo_weights(
            setting, own_images=own_images, console=Console(file=said, width=1000)
        ), said.getvalue()

    return choose


def test_scenes_are_labelled_by_the_starter(choose: Choose) -> None:
    assert choose("auto", False) == ("starter", "")


def test_what_the_user_chose_is_taken_for_any_images(choose: Choose) -> None:
    assert choose("mine.safetensors", True) == ("mine.safetensors", "")


def test_photos_are_labelled_by_coco_weights_that_are_here(choose: Choose, tmp_path: Path) -> None:
    weights = tmp_path / "home" / "models" / "coco.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert choose("auto", True) == ("coco", "")


def test_without_a_network_photos_make_do_with_the_starter(choose: Choose) -> None:
    weights, said = choose("auto", True)
    assert weights == "starter"
    assert f"Fetching the COCO weights, 2.6 MB, from {ZOO[COCO].url}" in said
    assert "cannot be had" in said and "PRELABEL_WEIGHTS_DIR" in said
