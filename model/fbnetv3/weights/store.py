"""Weights read by name or path, fetched on request, imported from files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.d2go import read_d2go
from fbnetv3.weights.digest import file_sha256
from fbnetv3.weights.download import ATTEMPTS, Progress, download
from fbnetv3.weights.folders import (
    FILE_SUFFIXES,
    STARTER,
    SUFFIX,
    default_folder,
    is_path,
    packaged,
    provisioned,
    weights_file,
)
from fbnetv3.weights.safetensors_file import read_safetensors, write_checkpoint
from fbnetv3.weights.torchscript import is_torchscript, read_torchscript
from fbnetv3.weights.zoo import ZOO, ZooEntry, zoo_entry

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load_checkpoint(name_or_path: str | Path, folders: Sequence[Path] = ()) -> Checkpoint:
    """Read weights by path or by name; nothing is ever downloaded.

    A Path, and a string with a separator or the suffix of a weights file, is a file. Any other string is a
    name: `starter`, one of the zoo, or one that was imported. `folders` are searched in place of
    `default_folder()`. Raises WeightsError when there are none, with what to do about it, or when they cannot
    be read.
    """
    path = weights_file(name_or_path, folders)
    return read_checkpoint(path) if is_path(name_or_path) else _read_named(str(name_or_path), path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of any known format: ours, d2go's (.pth, .ckpt) or the int8 TorchScript export.

    Raises WeightsError for a file that cannot be opened or is none of these.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix == SUFFIX:
        return read_safetensors(path)
    return read_torchscript(path) if is_torchscript(path) else read_d2go(path)


def pull(
    name: str, folder: Path | None = None, progress: Progress | None = None, attempts: int = ATTEMPTS
) -> Path:
    """Get the zoo's weights `name` and store them, converted, in `folder` (default: `default_folder()`).

    They are taken from `PRELABEL_WEIGHTS_DIR` if they are there, otherwise downloaded. Returns the file.
    Raises WeightsError when they cannot be had or are not the published ones.
    """
    entry = zoo_entry(name)
    target = (folder or default_folder()) / f"{name}{SUFFIX}"
    if ready := provisioned(name):
        write_checkpoint(_read_named(name, ready), target)
        return target
    fetched = target.with_name(f"{name}.download")
    download(entry.url, fetched, size=entry.size, sha256=entry.sha256, progress=progress, attempts=attempts)
    try:
        write_checkpoint(_read_published(entry, fetched), target)
    finally:
        fetched.unlink(missing_ok=True)
    return target


def import_file(
    path: Path,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Store the weights in `path` under `name` (default: the file's name without suffix); returns the file.

    `labels` replace those that the file has or that are assumed for it. Raises WeightsError for a file that
    cannot be read, a name that cannot be used or is taken, and labels that do not fit.
    """
    name = name or path.stem
    _check_name(name)
    target = (folder or default_folder()) / f"{name}{SUFFIX}"
    if target.exists() and not overwrite:
        raise WeightsError(f"there are weights called {name!r} already: choose another name, or --force")
    checkpoint = read_checkpoint(path)
    if labels is not None:
        checkpoint = checkpoint.with_labels(labels)
    provenance = checkpoint.provenance | {"imported from": path.name, "imported sha256": file_sha256(path)}
    write_checkpoint(replace(checkpoint, provenance=provenance), target)
    return target


def _read_named(name: str, path: Path) -> Checkpoint:
    if name in ZOO and path.suffix != SUFFIX:
        return _read_published(ZOO[name], path)
    return read_checkpoint(path)


def _read_published(entry: ZooEntry, path: Path) -> Checkpoint:
    """The published file of `entry` with its origin noted, and with our mask head if there is one for it."""
    digest = file_sha256(path)
    if entry.sha256 not in (None, digest):
        raise WeightsError(f"{path} is not the published file: its SHA-256 is {digest}, not {entry.sha256}")
    checkpoint = read_checkpoint(path)
    if checkpoint.model != entry.model:
        raise WeightsError(f"{path} holds {checkpoint.model}, not {entry.model}")
    verification = "equals the published SHA-256" if entry.sha256 else "none: no SHA-256 is published"
    provenance = {
        "source": entry.url,
        "sha256": digest,
        "verification": verification,
        "licence": entry.licence,
    }
    checkpoint = replace(checkpoint, provenance=provenance)
    mask_head = packaged(entry.mask_head) if entry.mask_head else None
    return checkpoint.with_mask_head(read_safetensors(mask_head)) if mask_head else checkpoint


def _check_name(name: str) -> None:
    if name == STARTER or name in ZOO:
        raise WeightsError(f"the name {name!r} is taken by published weights; choose another one")
    if not _NAME.fullmatch(name) or name.endswith(FILE_SUFFIXES):
        raise WeightsError(
            f"{name!r} cannot be a name: use letters, digits, '.', '_' and '-', and no file suffix"
        )
