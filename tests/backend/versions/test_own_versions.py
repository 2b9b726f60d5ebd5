"""Which versions count as prelabel's own: deleting the predictions of others cannot be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelabel.versions.own_versions import OwnVersions, has_own_form

DIGEST = "0123456789ab"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["starter", "coco", "mask_rcnn_fbnetv3a_dsmask_C4"])
def test_published_weights_are_own(store, name):
    assert f"{name}-{DIGEST}" in OwnVersions.known_here()


@pytest.mark.parametrize(
    "version",
    [
        None,
        "",
        "starter",
        "starter-0123",
        f"-{DIGEST}",
        f"starter-{DIGEST.upper()}",
        f"starter-{DIGEST}0",
        f"starter-{DIGEST}\n",
        f"starter2-{DIGEST}",
        f"my-starter-{DIGEST}",
        f"yolo-{DIGEST}",
    ],
)
def test_other_versions_are_not(store, version):
    assert version not in OwnVersions.known_here()


def test_weights_in_use_and_in_the_store_are_own(store):
    (store / "kudzu.safetensors").touch()
    own = OwnVersions.known_here(f"nuclei-{DIGEST}")
    assert f"nuclei-{'f' * 12}" in own
    assert f"kudzu-{DIGEST}" in own


def test_a_declared_version_is_own_and_no_other_of_its_name(store):
    own = OwnVersions.known_here(declared=["old-model"])
    assert "old-model" in own
    assert f"old-model-{DIGEST}" not in own


def test_lookalikes_are_those_of_unknown_weights(store):
    versions = [f"starter-{DIGEST}", f"yolo-{DIGEST}", "yolo", f"a-b-{DIGEST}"]
    assert OwnVersions.known_here().lookalikes(versions) == [f"a-b-{DIGEST}", f"yolo-{DIGEST}"]
    assert has_own_form(f"yolo-{DIGEST}")
    assert not has_own_form("yolo")
