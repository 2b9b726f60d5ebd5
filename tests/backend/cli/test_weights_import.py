"""`prelabel weights import` of what trainers write, and of what is broken: able to serve, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import save_file
from small_networks import C4, FASTER_C4, small_network
from torch import Tensor, nn
from typer.testing import CliRunner

from fbnetv3.weights import load_checkpoint
from prelabel.cli.weights import app

State = dict[str, Tensor]

SCORES = "roi_heads.box_predictor.cls_score."
BOXES = "roi_heads.box_predictor.bbox_pred."
STEM = "backbone.body.trunk0.fbnetv2_0_0.conv.weight"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PRELABEL_WEIGHTS_DIR", "MODEL_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


def state_of(name: str = FASTER_C4, seed: int = 0) -> State:
    return dict(small_network(name, seed).state_dict())


def saved(folder: Path, content: Any, **settings: Any) -> Path:
    path = folder / "mine.pth"
    torch.save(content, path, **settings)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    return result.stderr


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def without(part: str, state: State) -> State:
    return {name: tensor for name, tensor in state.items() if part not in name}


#: How the same weights are wrapped.
GOOD: dict[str, Callable[[State], Any]] = {
    "bare": lambda state: state,
    "with optimizer": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]},
        "scheduler": {"last_epoch": 3},
        "iteration": 3,
    },
    "DDP": lambda state: {"model": prefixed("module.", state)},
    "Lightning": lambda state: {"state_dict": prefixed("model.", state), "epoch": 3, "callbacks": {}},
    "compiled": lambda state: prefixed("_orig_mod.", state),
    "DDP around compiled": lambda state: {"model": prefixed("module._orig_mod.", state)},
    "compiled around DDP": lambda state: {"model": prefixed("_orig_mod.module.", state)},
    "compiled inside Lightning": lambda state: {"state_dict": prefixed("model._orig_mod.module.", state)},
    "parameters": lambda state: {name: nn.Parameter(t, requires_grad=False) for name, t in state.items()},
    "NumPy scalars": lambda state: {"model": state, "best": np.float64(0.41), "epoch": np.int64(3)},
    "leftovers": lambda state: {"model": state | {"pixel_mean": torch.zeros(3, 1, 1)}},
}


@pytest.mark.parametrize("old_format", [False, True], ids=["zip", "old format"])
@pytest.mark.parametrize("wrap", GOOD.values(), ids=GOOD.keys())
def test_what_trainers_write(tmp_path: Path, wrap: Callable[[State], Any], old_format: bool) -> None:
    state = state_of()
    result = run(saved(tmp_path, wrap(state), _use_new_zipfile_serialization=not old_format))
    assert result.exit_code == 0, result.output
    stored = load_checkpoint("mine").state
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_with_the_counters_in_them(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in state_of(C4).items()}
    assert run(saved(tmp_path, {"model": state})).exit_code == 0
    stored = load_checkpoint("mine").state
    assert all(torch.equal(stored[name], tensor.float()) for name, tensor in state.items())


#: What is wrong -> the content, and what the sentence must say.
BAD: dict[str, tuple[Callable[[State], Any], str]] = {
    "no boxes": (lambda state: without(BOXES, state), f"{BOXES}bias and 1 more are missing"),
    "one tensor less": (lambda state: without(f"{BOXES}bias", state), f"{BOXES}bias is missing"),
    "no scores": (lambda state: without(SCORES, state), f"lacks {SCORES}weight"),
    "no first layer": (lambda state: without(STEM, state), f"{STEM} is missing"),
    "no backbone": (lambda state: without("backbone", state), "holds no Faster R-CNN or Mask R-CNN"),
    "half a mask head": (lambda state: without("mask_head.predictor", state), "and 1 more are missing"),
    "other classes": (
        lambda state: state | {f"{BOXES}weight": torch.zeros(20, 160), f"{BOXES}bias": torch.zeros(20)},
        "about the number of classes: cls_score has 3, bbox_pred has 5, mask_fcn_logits has 3",
    ),
    "NaN": (lambda state: state | {f"{BOXES}bias": torch.full((12,), torch.nan)}, f"variance in {BOXES}bias"),
    "beyond float32": (
        lambda state: state | {f"{BOXES}bias": torch.full((12,), 1e300, dtype=torch.float64)},
        f"infinity or a negative variance in {BOXES}bias",
    ),
    "other shape": (
        lambda state: state | {STEM: torch.zeros(16, 1, 3, 3)},
        f"{STEM} is (16, 1, 3, 3) of float32, not (16, 3, 3, 3) of float32",
    ),
    "overflow": (
        lambda state: {name: tensor * 1e20 if tensor.ndim > 1 else tensor for name, tensor in state.items()},
        "gives no finite numbers: its backbone overflows",
    ),
    "two networks": (
        lambda state: prefixed("model.", state) | prefixed("module.", {f"{BOXES}bias": torch.ones(12)}),
        f"holds two different tensors called {BOXES}bias",
    ),
    "another network": (lambda state: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "holds no Faster R-CNN"),
    "no mapping": (lambda state: [1, 2], "holds no Faster R-CNN"),
}


@pytest.mark.parametrize(("spoil", "complaint"), BAD.values(), ids=BAD.keys())
def test_what_cannot_serve(
    tmp_path: Path, store: Path, spoil: Callable[[State], Any], complaint: str
) -> None:
    assert complaint in refusal(run(saved(tmp_path, spoil(state_of(C4)))))
    assert not store.exists()


def whole(path: Path) -> bytes:
    torch.save({"model": state_of()}, path)
    return path.read_bytes()


DAMAGED = "is damaged or is no PyTorch checkpoint"
FILES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "empty": ("a.pth", lambda path: b"", "a.pth is empty: fetch or copy it again"),
    "empty safetensors": ("a.safetensors", lambda path: b"", "a.safetensors is empty"),
    "truncated zip": ("a.pth", lambda path: whole(path)[:-5000], f"a.pth {DAMAGED}"),
    "text": ("a.pth", lambda path: b"<html>Not found</html>", f"a.pth {DAMAGED}"),
    "text like a pickle": ("a.ckpt", lambda path: b"channels: 3\nlr: 0.1\n", f"a.ckpt {DAMAGED}"),
    "checkpoint called safetensors": ("a.safetensors", whole, "is damaged or is no safetensors file"),
    "truncated safetensors": (
        "a.safetensors",
        lambda path: b'\x40\0\0\0\0\0\0\0{"a":',
        "is damaged or is no safetensors file",
    ),
}


@pytest.mark.parametrize(("name", "content", "complaint"), FILES.values(), ids=FILES.keys())
def test_files_that_hold_no_weights(
    tmp_path: Path, store: Path, name: str, content: Callable[[Path], bytes], complaint: str
) -> None:
    (tmp_path / name).write_bytes(content(tmp_path / name))
    assert complaint in refusal(run(tmp_path / name))
    assert not store.exists()


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(run(tmp_path, "--name", "mine"))


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ({}, "prelabel did not write it"),
        ({"model": "yolo"}, "there is no model 'yolo'"),
        ({"labels": '["a", "b"]'}, "cls_score has 3, bbox_pred has 3, the list of labels has 2"),
        ({"labels": '"a"'}, "prelabel did not write it"),
        ({"settings": '{"depth": 3}'}, "there is no setting 'depth'"),
        ({"model": C4}, f"it is for {C4}, and it has no mask head"),
    ],
)
def test_safetensors_with_a_wrong_header(
    tmp_path: Path, store: Path, header: dict[str, str], complaint: str
) -> None:
    right = {"model": FASTER_C4, "labels": '["a", "b", "c"]', "settings": "{}", "provenance": "{}"}
    save_file(state_of(), tmp_path / "a.safetensors", right | header if header else None)
    assert complaint in refusal(run(tmp_path / "a.safetensors"))
    assert not store.exists()


class TestAveragedWeights:
    def test_they_are_told_of_and_taken_when_asked_for(self, tmp_path: Path) -> None:
        last, averaged = state_of(seed=1), state_of(seed=2)
        path = saved(tmp_path, {"model": last, "ema_state": averaged, "iteration": 3})
        assert "Averaged weights: ema_state, not taken: --ema imports them" in run(path).output
        assert torch.equal(load_checkpoint("mine").state[f"{BOXES}weight"], last[f"{BOXES}weight"])

        assert "Averaged weights: taken from ema_state" in run(path, "--ema", "--name", "mean").output
        stored = load_checkpoint("mean")
        assert all(torch.equal(stored.state[name], tensor) for name, tensor in averaged.items())
        assert stored.provenance["averaged weights"] == "taken from ema_state"

    def test_of_the_parameters_alone_they_have_the_networks_statistics(self, tmp_path: Path) -> None:
        averaged, network = state_of(seed=2), small_network(FASTER_C4, seed=1)
        last = {
            name: t + 1 if name.endswith("running_mean") else t for name, t in network.state_dict().items()
        }
        parameters = {name: averaged[name] for name, _ in network.named_parameters()}
        assert run(saved(tmp_path, {"model": last, "ema": parameters}), "--ema").exit_code == 0
        for name, tensor in load_checkpoint("mine").state.items():
            assert torch.equal(tensor, (last | parameters)[name]), name

    def test_a_file_without_them_says_so(self, tmp_path: Path, store: Path) -> None:
        pth = saved(tmp_path, {"model": state_of()})
        assert run(pth, "--name", "own").exit_code == 0
        for file in (pth, store / "own.safetensors"):
            assert "holds no averaged weights (ema_state, model_ema, " in refusal(
                run(file, "--ema", "--name", "b")
            )

    def test_a_file_of_them_alone_says_so(self, tmp_path: Path) -> None:
        alone = saved(tmp_path, {"ema_state": state_of()})
        assert "holds averaged weights alone (ema_state): import it with --ema" in refusal(run(alone))
        assert run(alone, "--ema").exit_code == 0

    def test_with_a_gap_they_are_refused(self, tmp_path: Path) -> None:
        content = {"model": state_of(), "ema_state": without(f"{BOXES}bias", state_of())}
        assert f"{BOXES}bias is missing" in refusal(run(saved(tmp_path, content), "--ema"))
