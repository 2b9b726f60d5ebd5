"""Weights read by name or path, fetched on request, imported from files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fbnetv3.files import file_sha256
from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.d2go import NO_AVERAGE, read_d2go
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
from fbnetv3.weights.soundness import check_sound
from fbnetv3.weights.torchscript import is_torchscript, read_torchscript
from fbnetv3.weights.zoo import ZOO, ZooEntry, zoo_entry

# Called with weights that are to be stored; refuses them with a WeightsError. See fbnetv3.trial.
Accept = Callable[[Checkpoint], None]

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


def read_checkpoint(path: Path, ema: bool = False) -> Checkpoint:
    """Read a file of any known format: ours, d2go's (.pth, .ckpt) or the int8 TorchScript export.

    `ema`: the averaged weights that trainers keep beside the last ones, in d2go's files. Raises WeightsError for
    a file that cannot be opened, is none of these, or holds what no network can have (check_sound).
    """
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if empty:
        raise WeightsError(f"{path} is empty: fetch or copy it again")
    checkpoint = _read_format(path, ema)
    check_sound(checkpoint, path)
    return checkpoint


def pull(
    name: str,
    accept: Accept,
    folder: Path | None = None,
    progress: Progress | None = None,
    attempts: int = ATTEMPTS,
) -> Path:
    """Get the zoo's weights `name` and store them, converted, in `folder` (default: `default_folder()`).

    They are taken from `PRELABEL_WEIGHTS_DIR` if they are there, otherwise downloaded. Returns the file.
    Raises WeightsError when they cannot be had, are not the published ones, or `accept` refuses them.
    """
    entry = zoo_entry(name)
    target = (folder or default_folder()) / f"{name}{SUFFIX}"
    if ready := provisioned(name):
        _store(_read_named(name, ready), ready, accept, target)
        return target
    fetched = target.with_name(f"{name}.download")
    download(entry.url, fetched, size=entry.size, sha256=entry.sha256, progress=progress, attempts=attempts)
    try:
        _store(_read_published(entry, fetched), fetched, accept, target)
    finally:
        fetched.unlink(missing_ok=True)
    return target


def import_file(
    path: Path,
    accept: Accept,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    folder: Path | None = None,
    overwrite: bool = False,
    ema: bool = False,
) -> Path:
    """Store the weights in `path` under `name` (default: the file's name without suffix); returns the file.

    `labels` replace those that the file has or that are assumed for it. `ema`: see read_checkpoint. Raises
    WeightsError for a file that cannot be read, a name that cannot be used or is taken, labels that do not fit,
    and weights that `accept` refuses.
    """
    name = name or path.stem
    _check_name(name)
    target = (folder or default_folder()) / f"{name}{SUFFIX}"
    if target.exists() and not overwrite:
        raise WeightsError(f"there are weights called {name!r} already: choose another name, or --force")
    checkpoint = read_checkpoint(path, ema)
    if labels is not None:
        checkpoint = checkpoint.with_labels(labels)
    provenance = checkpoint.provenance | {"imported from": path.name, "imported sha256": file_sha256(path)}
    _store(replace(checkpoint, provenance=provenance), path, accept, target)
    return target


def _store(checkpoint: Checkpoint, source: Path, accept: Accept, target: Path) -> None:
    try:
        accept(checkpoint)
    except WeightsError as error:
        raise WeightsError(f"{source} is not stored: {error}") from error
    write_checkpoint(checkpoint, target)


def _read_format(path: Path, ema: bool) -> Checkpoint:
    read = read_safetensors if path.suffix == SUFFIX else read_torchscript if is_torchscript(path) else None
    if read is None:
        return read_d2go(path, ema)
    if ema:
        raise WeightsError(NO_AVERAGE.format(path=path))
    return read(path)


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
