"""Our own file format: round trip, half precision, refusal of foreign and damaged files, atomic writing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from weights_samples import PREDICTOR, STEM, small_checkpoint

from fbnetv3.weights import WeightsError, write_checkpoint
from fbnetv3.weights.safetensors_file import read_header, read_safetensors


def test_round_trip_keeps_everything(tmp_path: Path):
    checkpoint = small_checkpoint(labels=("écrou", "gear, big", '"'))
    write_checkpoint(checkpoint, tmp_path / "new folder" / "a.safetensors")
    read = read_safetensors(tmp_path / "new folder" / "a.safetensors")

    assert read.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(read.state[name], tensor) for name, tensor in checkpoint.state.items())
    assert (read.model, read.labels) == (checkpoint.model, checkpoint.labels)
    assert (read.settings, read.provenance) == (checkpoint.settings, checkpoint.provenance)
    assert read.digest == checkpoint.digest


def test_header_is_read_alone(tmp_path: Path):
    write_checkpoint(small_checkpoint(), tmp_path / "a.safetensors")
    header = read_header(tmp_path / "a.safetensors")
    assert header.model == "faster_rcnn_fbnetv3a_dsmask_C4"
    assert header.labels == ("bolt", "nut", "gear")


def test_half_precision_halves_floats_only_and_reads_as_float32(tmp_path: Path):
    checkpoint = small_checkpoint()
    write_checkpoint(checkpoint, tmp_path / "whole.safetensors")
    write_checkpoint(checkpoint, tmp_path / "half.safetensors", dtype=torch.float16)
    read = read_safetensors(tmp_path / "half.safetensors")

    scores = f"{PREDICTOR}.cls_score.weight"
    assert torch.equal(read.state[scores], checkpoint.state[scores].half().float())
    assert read.state[scores].dtype == torch.float32
    assert read.state[f"{STEM}.bn.num_batches_tracked"].dtype == torch.int64
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * (
        tmp_path / "whole.safetensors"
    ).stat().st_size


def test_values_beyond_half_precision_are_refused(tmp_path: Path):
    checkpoint = small_checkpoint()
    checkpoint.state[f"{STEM}.bn.running_mean"][0] = 1e5
    with pytest.raises(WeightsError, match=r"running_mean has values that do not fit into torch\.float16"):
        write_checkpoint(checkpoint, tmp_path / "a.safetensors", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def test_tensors_that_share_memory_are_written(tmp_path: Path):
    checkpoint = small_checkpoint()
    scores = checkpoint.state[f"{PREDICTOR}.cls_score.weight"]
    shared = replace(checkpoint, state={"whole": scores, "column": scores[:, 1], "turned": scores.T})
    write_checkpoint(shared, tmp_path / "a.safetensors")
    assert torch.equal(read_safetensors(tmp_path / "a.safetensors").state["turned"], scores.T)


def test_foreign_safetensors_are_refused(tmp_path: Path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "plain.safetensors")
    metadata = {"model": "m", "labels": "not json", "settings": "{}", "provenance": "{}"}
    save_file({"weight": torch.zeros(2)}, tmp_path / "odd.safetensors", metadata)
    for name in ("plain.safetensors", "odd.safetensors"):
        with pytest.raises(WeightsError, match="prelabel did not write it"):
            read_safetensors(tmp_path / name)


@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_cut_off_files_are_refused(tmp_path: Path, length: int):
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    write_checkpoint(small_checkpoint(), whole)
    cut.write_bytes(whole.read_bytes()[:length])
    with pytest.raises(WeightsError, match="damaged"):
        read_safetensors(cut)


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.safetensors"
    write_checkpoint(small_checkpoint(), path)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WeightsError, match=r"cannot be written: No space left on device"):
        write_checkpoint(small_checkpoint(labels=("a", "b")), path)
    assert read_safetensors(path).labels == ("bolt", "nut", "gear")
    assert list(tmp_path.iterdir()) == [path]
