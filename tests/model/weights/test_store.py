"""Weights by name: where they are looked for, what is said when they are missing, fetching and importing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from file_server import ServedFile, serving
from reference import SHARED, needs_shared
from small_networks import C4, FASTER_C4, small_network
from weights_samples import MASKS, small_checkpoint

from fbnetv3.factory import list_models
from fbnetv3.trial import try_out
from fbnetv3.weights import WeightsError, default_folder, load_checkpoint, write_checkpoint
from fbnetv3.weights.d2go import COCO_LABELS
from fbnetv3.weights.folders import find_weights, stored_names
from fbnetv3.weights.safetensors_file import read_safetensors
from fbnetv3.weights.store import import_file, pull
from fbnetv3.weights.zoo import ZOO

# Of the published d2go.pt, dequantised, under COCO's labels.
COCO_DIGEST = "dc8ad503ea78"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no folder of provisioned weights."""
    monkeypatch.delenv("PRELABEL_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("MODEL_DIR", raising=False)
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    """A d2go checkpoint of three classes."""
    path = tmp_path / "mine.pth"
    torch.save({"model": small_network(FASTER_C4).state_dict()}, path)
    return path


@pytest.fixture
def published(pth: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedFile]:
    """The zoo's `coco`, served from this machine: that checkpoint under the name d2go.pt."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(pth.read_bytes()) as served:
        entry = replace(
            ZOO["coco"],
            prefix=served.url.removesuffix("d2go.pt"),
            size=len(served.content),
            sha256=hashlib.sha256(served.content).hexdigest(),
            mask_head=None,
        )
        monkeypatch.setitem(ZOO, "coco", entry)
        yield served


def test_store_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert default_folder() == tmp_path / "home" / "models"
    monkeypatch.delenv("PRELABEL_HOME")
    assert default_folder() == Path.home() / ".prelabel" / "models"
    monkeypatch.setenv("MODEL_DIR", "~/elsewhere")
    assert default_folder() == Path.home() / "elsewhere"


def test_zoo_offers_every_network_and_names_its_files_once():
    assert {entry.model for entry in ZOO.values()} == set(list_models())
    assert len({entry.url for entry in ZOO.values()}) == len(ZOO)
    assert {urlsplit(entry.url).scheme for entry in ZOO.values()} == {"https"}


def test_path_is_read_and_a_name_is_not_a_path(pth: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(pth.parent)
    (pth.parent / "coco").mkdir()
    assert (
        load_checkpoint(pth).digest == load_checkpoint(str(pth)).digest == load_checkpoint("mine.pth").digest
    )
    with pytest.raises(WeightsError, match="pull coco"):
        load_checkpoint("coco")


def test_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"none\.pth cannot be read: No such file or directory"):
        load_checkpoint(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="cannot be read: Is a directory"):
        load_checkpoint(tmp_path)


def test_missing_zoo_weights_say_how_to_get_them():
    with pytest.raises(
        WeightsError, match=r"`prelabel weights pull coco`, or put d2go\.pt .*PRELABEL_WEIGHTS_DIR"
    ):
        load_checkpoint("coco")


def test_unknown_name_lists_the_known_ones(store: Path):
    write_checkpoint(small_checkpoint(), store / "bolts.safetensors")
    with pytest.raises(WeightsError, match=r"no weights called 'nuts'; known are starter, coco, .*, bolts$"):
        load_checkpoint("nuts")


def test_given_folders_replace_the_store(store: Path, tmp_path: Path):
    write_checkpoint(small_checkpoint(), store / "bolts.safetensors")
    other = small_checkpoint(labels=("cat", "dog"))
    write_checkpoint(other, tmp_path / "b" / "bolts.safetensors")
    assert load_checkpoint("bolts", [tmp_path / "a", tmp_path / "b"]).labels == ("cat", "dog")
    with pytest.raises(WeightsError, match="no weights called"):
        load_checkpoint("bolts", [tmp_path / "a"])


def test_provisioned_folder_comes_first(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    provisioned = tmp_path / "provisioned"
    write_checkpoint(small_checkpoint(), store / "bolts.safetensors")
    write_checkpoint(small_checkpoint(labels=("cat", "dog")), provisioned / "bolts.safetensors")
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(provisioned))
    assert load_checkpoint("bolts").labels == ("cat", "dog")


@pytest.mark.parametrize("file", ["250414811/model_0399999.pth", "250414811_model_0399999.pth"])
def test_published_files_may_be_provisioned(
    pth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
):
    target = tmp_path / "provisioned" / file
    target.parent.mkdir(parents=True)
    target.write_bytes(pth.read_bytes())
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(tmp_path / "provisioned"))
    checkpoint = load_checkpoint("faster_rcnn_fbnetv3a_dsmask_C4")
    assert checkpoint.provenance["sha256"] == hashlib.sha256(pth.read_bytes()).hexdigest()
    assert checkpoint.provenance["verification"].startswith("none")


def test_provisioned_file_is_checked(pth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(tmp_path))
    pth.rename(tmp_path / "d2go.pt")
    with pytest.raises(WeightsError, match="is not the published file: its SHA-256 is"):
        load_checkpoint("coco")
    (tmp_path / "d2go.pt").rename(tmp_path / "268412271_model_0499999.pth")
    with pytest.raises(WeightsError, match="holds faster_rcnn_fbnetv3a_dsmask_C4, not mask_rcnn"):
        load_checkpoint("mask_rcnn_fbnetv3a_dsmask_C4")


def test_pull_stores_the_converted_file(published: ServedFile, store: Path, pth: Path):
    path = pull("coco", try_out)
    assert path == store / "coco.safetensors"
    assert list(store.iterdir()) == [path]
    checkpoint = load_checkpoint("coco")
    assert checkpoint.digest == load_checkpoint(pth).digest
    assert checkpoint.provenance["source"] == published.url
    assert checkpoint.provenance["verification"] == "equals the published SHA-256"


def test_pull_goes_on_after_an_interruption(published: ServedFile):
    published.cuts = [len(published.content) // 2]
    with pytest.raises(WeightsError, match="cannot be fetched"):
        pull("coco", try_out, attempts=1)
    assert find_weights("coco") is None
    pull("coco", try_out)
    assert find_weights("coco")


def test_pull_leaves_nothing_of_a_file_that_is_no_checkpoint(
    published: ServedFile, store: Path, monkeypatch: pytest.MonkeyPatch
):
    published.content = b"<html>sign in to the wireless network</html>"
    monkeypatch.setitem(ZOO, "coco", replace(ZOO["coco"], size=None, sha256=None))
    with pytest.raises(WeightsError, match="no PyTorch checkpoint"):
        pull("coco", try_out)
    assert not list(store.iterdir())


def test_pull_prefers_the_provisioned_file(
    published: ServedFile, pth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pth.rename(tmp_path / "d2go.pt")
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(tmp_path))
    assert pull("coco", try_out).is_file()
    assert published.requests == []


def test_pull_adds_our_mask_head(published: ServedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = small_network(C4).state_dict()
    head = small_checkpoint(("class 0", "class 1", "class 2"), masks=True)
    head = replace(head, state={name: t for name, t in network.items() if name.startswith(MASKS)})
    write_checkpoint(head, tmp_path / "head.safetensors")
    monkeypatch.setitem(ZOO, "coco", replace(ZOO["coco"], mask_head=str(tmp_path / "head.safetensors")))
    checkpoint = read_safetensors(pull("coco", try_out))
    assert checkpoint.model == "mask_rcnn_fbnetv3a_dsmask_C4"
    assert checkpoint.state.keys() == network.keys()
    assert checkpoint.provenance["mask head source"] == "a test"


def test_pull_knows_published_names_only():
    with pytest.raises(
        WeightsError, match="no weights called 'cocoa' are published; known are coco, mask_rcnn"
    ):
        pull("cocoa", try_out)


@needs_shared
def test_published_coco_weights_are_what_the_zoo_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRELABEL_WEIGHTS_DIR", str(SHARED / "weights"))
    path = find_weights("coco")
    assert path is not None
    assert path.stat().st_size == ZOO["coco"].size
    checkpoint = load_checkpoint("coco")
    assert checkpoint.labels == COCO_LABELS
    assert checkpoint.without_masks().digest == COCO_DIGEST
    assert load_checkpoint(pull("coco", try_out)).digest == checkpoint.digest


def test_import_keeps_weights_under_a_name(pth: Path, store: Path):
    assert import_file(pth, try_out) == store / "mine.safetensors"
    assert import_file(pth, try_out, "bolts", ["bolt", "nut", "gear"]) == store / "bolts.safetensors"
    assert stored_names() == ["bolts", "mine"]
    assert load_checkpoint("mine").labels == ("class 0", "class 1", "class 2")
    assert load_checkpoint("bolts").labels == ("bolt", "nut", "gear")
    assert load_checkpoint("bolts").provenance["imported from"] == "mine.pth"


def test_import_overwrites_only_when_told(pth: Path):
    import_file(pth, try_out)
    with pytest.raises(WeightsError, match="there are weights called 'mine' already"):
        import_file(pth, try_out)
    import_file(pth, try_out, labels=["a", "b", "c"], overwrite=True)
    assert load_checkpoint("mine").labels == ("a", "b", "c")


@pytest.mark.parametrize("name", ["coco", "starter", "faster_rcnn_fbnetv3a_C4"])
def test_published_names_stay_theirs(pth: Path, name: str):
    with pytest.raises(WeightsError, match="is taken by published weights"):
        import_file(pth, try_out, name, overwrite=True)


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "a/b", "mine.pth"])
def test_names_that_are_no_plain_words_are_refused(pth: Path, name: str):
    with pytest.raises(WeightsError, match="cannot be a name"):
        import_file(pth, try_out, name)
