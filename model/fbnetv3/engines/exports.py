"""Exported graphs on disk: one folder per content of the weights, made once, found again without PyTorch.

They lie in `onnx/` beside the weights (`default_folder()`). A folder appears whole or not at all; one that is
damaged is made again. What used it last decides which go when there are too many.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from fbnetv3.errors import FbnetError
from fbnetv3.files import file_sha256
from fbnetv3.weights.checkpoint import WeightsError
from fbnetv3.weights.folders import default_folder, weights_files

logger = logging.getLogger(__name__)

#: Part of every key: another number makes every export again.
FORMAT = 2
#: Exports that are kept, about 10 MB each: a few versions of a few projects.
KEPT = 12
#: Seconds; it takes ten, on the largest network a minute, on a busy machine a few times that.
PATIENCE = 900
MANIFEST = "manifest.json"
#: The module whose process exports a detector.
DETECTOR = "fbnetv3.exporting"
UNFINISHED = ".making-"
#: Settings that decide what the engine keeps, not what the graphs compute: changing them needs no export.
NOT_EXPORTED = frozenset(
    {
        "min_size",
        "max_size",
        "pre_nms_proposals_test",
        "post_nms_proposals_test",
        "rpn_nms_threshold",
        "score_threshold",
        "nms_threshold",
        "detections_per_image",
        "mask_threshold",
    }
)


class Manifest(BaseModel):
    """What an export says of itself.

    `model`, `labels`, `settings`: as of the network that was exported. `digest`: of its checkpoint. `agreement`:
    what the comparison with PyTorch measured. `refusal`: why it must not serve; None when it may. `files`: the
    SHA-256 of each.
    """

    model: str
    labels: tuple[str, ...]
    settings: dict[str, Any]
    digest: str
    agreement: dict[str, float]
    refusal: str | None
    files: dict[str, str]


class ExportError(FbnetError):
    """There is no export and none can be made; the message is one sentence."""


def obtain(weights: str | Path, settings: dict[str, Any], exporter: str = DETECTOR) -> tuple[Path, Manifest]:
    """The folder of the graphs of these weights under these settings; made now if need be, which takes seconds.

    Its manifest knows nothing of settings in NOT_EXPORTED: they are the caller's, the next one may have others.
    `exporter`: the module that makes the export when it is run with WEIGHTS FOLDER SETTINGS_AS_JSON.
    Raises WeightsError when there are no such weights, ExportError when the export cannot be made.
    """
    root = default_folder() / "onnx"
    settings = {name: settings[name] for name in sorted(settings.keys() - NOT_EXPORTED)}
    folder = root / _key(weights, settings, exporter)
    if manifest := _read(folder):
        return folder, manifest
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            manifest = _read(folder) or _make(weights, settings, exporter, folder)
            _drop_old(root)
    except OSError as error:
        raise ExportError(f"{root} cannot be written: {error.strerror or error}") from None
    return folder, manifest


def _key(weights: str | Path, settings: dict[str, Any], exporter: str) -> str:
    """Changes with the content of the weights, the settings that the graphs hold, and what runs them."""
    sha256 = hashlib.sha256(
        json.dumps([FORMAT, importlib.metadata.version("onnxruntime"), settings, exporter]).encode()
    )
    for path in weights_files(weights):
        try:
            sha256.update(bytes.fromhex(file_sha256(path)))
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    return sha256.hexdigest()[:16]


def _read(folder: Path) -> Manifest | None:
    """The manifest of a whole export; None where there is none."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        if any(file_sha256(folder / name) != digest for name, digest in manifest.files.items()):
            return None
    except (OSError, ValidationError):
        return None
    with contextlib.suppress(OSError):  # a disk that cannot be written serves as well
        os.utime(folder)
    return manifest


def _make(weights: str | Path, settings: dict[str, Any], exporter: str, folder: Path) -> Manifest:
    """Export in a process of its own: what PyTorch and the exporter take of memory goes with it."""
    logger.info("preparing %s for ONNX Runtime; this is done once and takes some seconds", weights)
    name = str(Path(weights).expanduser().absolute()) if isinstance(weights, Path) else weights
    making = tempfile.mkdtemp(dir=folder.parent, prefix=UNFINISHED)
    command = [sys.executable, "-P", "-m", exporter, name, making, json.dumps(settings)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode < 0:
            raise ExportError(f"the export was ended by signal {-done.returncode}")
        if done.returncode:
            raise ExportError((done.stderr.strip().splitlines() or ["the export failed"])[-1])
        shutil.rmtree(folder, ignore_errors=True)
        # mkdtemp's folder is for its maker alone; an image is built by root and run by others.
        Path(making).chmod(0o755)
        Path(making).replace(folder)
    except subprocess.TimeoutExpired:
        raise ExportError(f"exporting took more than {PATIENCE} s") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    manifest = _read(folder)
    if manifest is None:
        raise ExportError("the export is not what was written")
    return manifest


def _drop_old(root: Path) -> None:
    """Drop what was used longest ago, and what a process left that was killed while it was making one."""
    for left in root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    folders = sorted(root.glob("[!.]*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
