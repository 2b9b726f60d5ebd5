"""Exports are made once, found by content, made again when they are not whole; without one PyTorch serves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from small_networks import (
    FASTER_C4,
    FEW_REGIONS,
    LABELS,
    as_checkpoint,
    decided,
    small_network,
    with_statistics,
)

from fbnetv3 import ConfigError, Detector, ModelConfig, WeightsError, exporting
from fbnetv3.engines import exports
from fbnetv3.engines.agreement import compare
from fbnetv3.engines.exports import KEPT, MANIFEST, NOT_EXPORTED, ExportError, Manifest, obtain
from fbnetv3.exporting import compare_engines
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import write_checkpoint

SETTINGS: dict[str, Any] = {**FEW_REGIONS, "min_size": 64, "max_size": 96}
ANCHORS: dict[str, Any] = {"anchor_sizes": ((16, 32, 64, 96, 128),)}
#: What the process that makes an export runs as.
Run = Callable[..., subprocess.CompletedProcess[str]]


def network(seed: int = 0) -> RCNN:
    return with_statistics(decided(small_network(FASTER_C4, seed, min_size=64, max_size=96)))


def write_weights(path: Path, seed: int = 0) -> Path:
    write_checkpoint(as_checkpoint(network(seed), **SETTINGS), path)
    return path


@dataclass(frozen=True)
class Made:
    """A store with the export of some weights in it, as the real process made it."""

    store: Path
    weights: Path
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first caller has settings of its own that are no part of the graphs."""
    base = tmp_path_factory.mktemp("made")
    weights = write_weights(base / "small.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_DIR", str(base / "models"))
        folder, manifest = obtain(weights, {"score_threshold": 0.9, "min_size": 32})
    return Made(base / "models", weights, folder, manifest)


@pytest.fixture
def store(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own copy of the store."""
    shutil.copytree(made.store, tmp_path / "models")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "empty"))
    return tmp_path / "empty"


@dataclass
class Process:
    """Stands in for the exporting process: takes no time, and its export is the one that was made before."""

    made: Path
    seconds: float = 0
    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        time.sleep(self.seconds)
        shutil.copytree(self.made, command[-2], dirs_exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def process(made: Made, monkeypatch: pytest.MonkeyPatch) -> Process:
    stand_in = Process(made.folder)
    monkeypatch.setattr(exports.subprocess, "run", stand_in)
    return stand_in


def ends_with(code: int, stderr: str) -> Run:
    return lambda command, **_: subprocess.CompletedProcess(command, code, "", stderr)


def runs_out_of_time(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    raise subprocess.TimeoutExpired(command, exports.PATIENCE)


def folders(store: Path) -> list[str]:
    return sorted(path.name for path in (store / "onnx").iterdir() if path.name != ".lock")


class TestMaking:
    def test_what_the_process_leaves(self, made: Made) -> None:
        assert folders(made.store) == [made.folder.name]
        assert sorted(path.name for path in made.folder.iterdir()) == [
            "boxes.onnx",
            "class_scores.safetensors",
            "image.onnx",
            MANIFEST,
            "nms.onnx",
        ]
        manifest = Manifest.model_validate_json((made.folder / MANIFEST).read_text())
        assert manifest == made.manifest and manifest.refusal is None
        assert set(manifest.files) == {"boxes.onnx", "class_scores.safetensors", "image.onnx", "nms.onnx"}
        assert (manifest.model, manifest.labels) == (FASTER_C4, LABELS)
        assert manifest.agreement["count"] > 20 and manifest.agreement["share"] >= 0.98

    def test_it_serves_what_pytorch_finds(self, made: Made, store: Path, process: Process) -> None:
        image = generate_scene(3, (128, 160)).image
        ours, theirs = (Detector.load(made.weights, engine=name) for name in ("auto", "torch"))
        assert (ours.engine.name, theirs.engine.name) == ("onnxruntime", "torch")
        assert (ours.version, ours.labels, ours.has_masks) == (theirs.version, LABELS, False)
        agreement = compare(ours.predict([image]), theirs.predict([image]))
        assert agreement.count > 3 and agreement.disagreement is None
        assert process.commands == []

    def test_the_settings_of_one_load_are_not_those_of_the_next(self, made: Made, store: Path) -> None:
        assert Detector.load(made.weights).engine.config == ModelConfig.for_model(
            FASTER_C4, num_classes=len(LABELS), **SETTINGS
        )

    def test_a_process_that_is_killed_half_way(
        self, made: Made, empty_store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            (Path(command[-2]) / "image.onnx").write_bytes(b"half of it")
            process = subprocess.Popen(command)
            process.kill()
            return subprocess.CompletedProcess(command, process.wait(), "", "")

        with monkeypatch.context() as patch:
            patch.setattr(exports.subprocess, "run", killed)
            with pytest.raises(ExportError, match="signal 9"):
                obtain(made.weights, {})
        assert folders(empty_store) == []
        monkeypatch.setattr(exports.subprocess, "run", Process(made.folder))
        assert obtain(made.weights, {})[1] == made.manifest

    def test_two_at_once_make_one(self, made: Made, empty_store: Path, process: Process) -> None:
        process.seconds = 0.3
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: obtain(made.weights, {}), range(4)))
        assert len(process.commands) == 1
        assert len({folder for folder, _ in results}) == 1 and len(folders(empty_store)) == 1


class TestFinding:
    def test_the_second_time_no_process_starts(self, made: Made, store: Path, process: Process) -> None:
        for weights in (made.weights, str(made.weights)):
            folder, manifest = obtain(weights, {})
            assert folder == store / "onnx" / made.folder.name and manifest == made.manifest
        assert process.commands == []

    def test_the_same_content_elsewhere(
        self, made: Made, store: Path, process: Process, tmp_path: Path
    ) -> None:
        shutil.copy(made.weights, tmp_path / "other name.safetensors")
        assert obtain(tmp_path / "other name.safetensors", {})[0].name == made.folder.name
        assert process.commands == []

    def test_other_content(self, made: Made, store: Path, process: Process, tmp_path: Path) -> None:
        for seed in (1, 2):
            obtain(write_weights(tmp_path / "same name.safetensors", seed), {})
        assert len(process.commands) == 2 and len(folders(store)) == 3

    def test_other_settings_of_the_graphs(self, made: Made, store: Path, process: Process) -> None:
        folder, _ = obtain(made.weights, {**ANCHORS, "min_size": 40})
        assert folder.name != made.folder.name
        [command] = process.commands
        assert json.loads(command[-1]) == json.loads(json.dumps(ANCHORS))
        assert obtain(made.weights, ANCHORS)[0] == folder
        assert len(process.commands) == 1

    @pytest.mark.parametrize("name", sorted(NOT_EXPORTED))
    def test_settings_of_the_engine_need_no_other(
        self, made: Made, store: Path, process: Process, name: str
    ) -> None:
        value: Any = {"min_size": 40, "max_size": 80}.get(
            name, 5 if "proposals" in name or "image" in name else 0.6
        )
        settings: dict[str, Any] = {name: value}
        detector = Detector.load(made.weights, **settings)
        assert detector.engine.name == "onnxruntime" and process.commands == []
        assert getattr(detector.engine.config, name) == value
        assert len(detector.predict([generate_scene(3, (128, 160)).image])) == 1

    @pytest.mark.parametrize("damage", ["graph changed", "graph gone", "manifest gone", "manifest cut off"])
    def test_what_is_not_whole_is_made_again(
        self, made: Made, store: Path, process: Process, damage: str
    ) -> None:
        folder = store / "onnx" / made.folder.name
        file = folder / ("boxes.onnx" if damage.startswith("graph") else MANIFEST)
        content = file.read_bytes()
        if damage.endswith("gone"):
            file.unlink()
        elif damage == "graph changed":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        else:
            file.write_bytes(content[: len(content) // 2])
        assert obtain(made.weights, {}) == (folder, made.manifest)
        assert len(process.commands) == 1 and file.read_bytes() == content
        obtain(made.weights, {})
        assert len(process.commands) == 1 and folders(store) == [folder.name]

    def test_a_disk_that_cannot_be_written_serves(
        self, made: Made, store: Path, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(30, "Read-only file system")

        monkeypatch.setattr(exports.os, "utime", refuse)
        monkeypatch.setattr(exports, "FileLock", refuse)
        assert obtain(made.weights, {})[1] == made.manifest

    def test_only_the_newest_stay(self, made: Made, store: Path, process: Process) -> None:
        """Newest is what was used last; what a killed process left goes too."""
        root, old = store / "onnx", time.time() - 1000
        (root / ".making-left").mkdir()
        for age in range(KEPT + 2):
            (root / f"old-{age:02}").mkdir()
            os.utime(root / f"old-{age:02}", (old - age, old - age))
        os.utime(made_before := root / made.folder.name, (old - 100, old - 100))
        obtain(made.weights, {})
        new, _ = obtain(made.weights, ANCHORS)
        expected = {made_before.name, new.name, *(f"old-{age:02}" for age in range(KEPT - 2))}
        assert set(folders(store)) == expected


class TestPyTorchServes:
    """Whatever goes wrong with an export: the log says what, and labels are made."""

    def check(self, weights: Path, caplog: pytest.LogCaptureFixture, reason: str) -> None:
        detector = Detector.load(weights)
        assert detector.engine.name == "torch" and detector.labels == LABELS
        assert len(detector.predict([generate_scene(3, (128, 160)).image])[0]) > 0
        [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warning == f"PyTorch runs {weights}, not ONNX Runtime: {reason}"

    def test_a_refusal_is_kept(
        self, made: Made, store: Path, process: Process, caplog: pytest.LogCaptureFixture
    ) -> None:
        reason = "only 12.0% of 50 instances are the same in both engines"
        refused = made.manifest.model_copy(update={"refusal": reason})
        (store / "onnx" / made.folder.name / MANIFEST).write_text(refused.model_dump_json())
        self.check(made.weights, caplog, reason)
        assert process.commands == []

    def test_graphs_of_other_weights_are_refused(
        self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As an exporter that goes wrong would make them."""
        assert compare_engines(network(), made.folder, LABELS).disagreement is None
        monkeypatch.setattr(
            exporting, "export", lambda _, folder: shutil.copytree(made.folder, folder, dirs_exist_ok=True)
        )
        folder = tmp_path / "export"
        folder.mkdir()
        exporting.main(str(write_weights(tmp_path / "other.safetensors", seed=1)), folder, {})
        refusal = Manifest.model_validate_json((folder / MANIFEST).read_text()).refusal
        assert refusal is not None and "are the same in both engines" in refusal

    @pytest.mark.parametrize(
        ("run", "reason"),
        [
            (
                ends_with(1, "Traceback\n  File\nRuntimeError: no such operator\n"),
                "RuntimeError: no such operator",
            ),
            (ends_with(3, ""), "the export failed"),
            (ends_with(-9, "some warning\n"), "the export was ended by signal 9"),
            (runs_out_of_time, "exporting took more than 900 s"),
            (ends_with(0, ""), "the export is not what was written"),
        ],
        ids=["error", "silence", "killed", "time", "nothing written"],
    )
    def test_the_process_fails(
        self,
        made: Made,
        empty_store: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        run: Run,
        reason: str,
    ) -> None:
        monkeypatch.setattr(exports.subprocess, "run", run)
        self.check(made.weights, caplog, reason)
        assert not list((empty_store / "onnx").glob("*/*"))

    def test_the_folder_cannot_be_written(
        self,
        made: Made,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        process: Process,
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("MODEL_DIR", str(tmp_path / "file"))
        self.check(made.weights, caplog, f"{tmp_path / 'file' / 'onnx'} cannot be written: Not a directory")


class TestErrors:
    """What is the caller's mistake comes out as such, not as a warning."""

    def test_weights_that_are_not_there(self, tmp_path: Path, empty_store: Path, process: Process) -> None:
        for weights in (tmp_path / "gone.safetensors", "no-such-name"):
            with pytest.raises(WeightsError):
                Detector.load(weights)
        assert process.commands == []

    def test_weights_that_cannot_be_read(
        self, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exports.subprocess, "run", ends_with(1, "broken.safetensors is no weights file"))
        (tmp_path / "broken.safetensors").write_bytes(b"no weights at all")
        with pytest.raises(WeightsError, match=r"broken\.safetensors"):
            Detector.load(tmp_path / "broken.safetensors")
        assert folders(empty_store) == []

    def test_a_setting_out_of_range(self, made: Made, store: Path, process: Process) -> None:
        with pytest.raises(ConfigError, match="score_threshold"):
            Detector.load(made.weights, score_threshold=2)

    def test_an_unknown_setting(self, made: Made, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports.subprocess, "run", ends_with(1, "there is no setting 'colour'"))
        with pytest.raises(ConfigError, match="there is no setting 'colour'"):
            Detector.load(made.weights, colour="red")

    def test_onnxruntime_where_it_cannot_run(self, made: Made, store: Path, process: Process) -> None:
        with pytest.raises(ConfigError, match="choose auto or torch"):
            Detector.load(made.weights, engine="onnxruntime", device="cuda")
        with pytest.raises(ConfigError, match="choose auto or torch"):
            Detector.load(as_checkpoint(network(), **SETTINGS), engine="onnxruntime")


def test_nothing_of_it_needs_pytorch() -> None:
    """A server from a cached export: in a process of its own, since this one has PyTorch already."""
    obtain("starter", {})
    code = """
import sys
import fbnetv3
import prelabel.versions.loading
assert "torch" not in sys.modules, "imports"
from fbnetv3.scenes import generate_scene
detector = fbnetv3.Detector.load("starter")
[found] = detector.predict([generate_scene(100, (480, 640)).image])
assert "torch" not in sys.modules, "prediction"
print(detector.engine.name, len(found), len(found.masks))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, count, masks = done.stdout.split()
    assert name == "onnxruntime" and int(count) == int(masks) > 2
