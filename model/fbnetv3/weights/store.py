"""The folders that weights live in: found by name, fetched on request, imported from files.

Names are looked for in `PRELABEL_WEIGHTS_DIR`, which holds what somebody provisioned for a machine without
internet, and then in the store, `MODEL_DIR` or `PRELABEL_HOME/models`, which prelabel writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.d2go import read_d2go
from fbnetv3.weights.download import ATTEMPTS, Progress, download, file_sha256
from fbnetv3.weights.safetensors_file import read_safetensors, write_checkpoint
from fbnetv3.weights.torchscript import is_torchscript, read_torchscript
from fbnetv3.weights.zoo import ZOO, ZooEntry, zoo_entry

STARTER = "starter"
_SUFFIX = ".safetensors"
_FILE_SUFFIXES = (_SUFFIX, ".pt", ".pth", ".ckpt")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def default_folder() -> Path:
    """The store: `MODEL_DIR`, else `models` in `PRELABEL_HOME`, which is `~/.prelabel` unless set."""
    if folder := os.environ.get("MODEL_DIR"):
        return Path(folder).expanduser()
    return Path(os.environ.get("PRELABEL_HOME") or "~/.prelabel").expanduser() / "models"


def load_checkpoint(name_or_path: str | Path, folders: Sequence[Path] = ()) -> Checkpoint:
    """Read weights by path or by name; nothing is ever downloaded.

    A Path, and a string with a separator or the suffix of a weights file, is a file. Any other string is a
    name: `starter`, one of the zoo, or one that was imported. `folders` are searched in place of
    `default_folder()`. Raises WeightsError when there are none, with what to do about it, or when they cannot
    be read.
    """
    if _is_path(name_or_path):
        return read_checkpoint(Path(name_or_path).expanduser())
    name = str(name_or_path)
    path = find_weights(name, folders)
    if path is None:
        raise WeightsError(_not_found(name, folders))
    return _read_named(name, path)


def find_weights(name: str, folders: Sequence[Path] = ()) -> Path | None:
    """The file that `load_checkpoint` reads for `name`, or None."""
    if name == STARTER:
        return _packaged(f"{STARTER}{_SUFFIX}")
    stored = (folder / f"{name}{_SUFFIX}" for folder in folders or (default_folder(),))
    return _provisioned(name) or next((path for path in stored if path.is_file()), None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of any known format: ours, d2go's (.pth, .ckpt) or the int8 TorchScript export.

    Raises WeightsError for a file that cannot be opened or is none of these.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix == _SUFFIX:
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
    target = (folder or default_folder()) / f"{name}{_SUFFIX}"
    if provisioned := _provisioned(name):
        write_checkpoint(_read_named(name, provisioned), target)
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
    target = (folder or default_folder()) / f"{name}{_SUFFIX}"
    if target.exists() and not overwrite:
        raise WeightsError(f"there are weights called {name!r} already: choose another name, or --force")
    checkpoint = read_checkpoint(path)
    if labels is not None:
        checkpoint = checkpoint.with_labels(labels)
    provenance = checkpoint.provenance | {"imported from": path.name, "imported sha256": file_sha256(path)}
    write_checkpoint(replace(checkpoint, provenance=provenance), target)
    return target


def stored_names(folder: Path | None = None) -> list[str]:
    """The names of the weights in `folder` (default: `default_folder()`)."""
    return sorted(path.stem for path in (folder or default_folder()).glob(f"[!.]*{_SUFFIX}"))


def _is_path(name_or_path: str | Path) -> bool:
    if isinstance(name_or_path, Path):
        return True
    return "/" in name_or_path or os.sep in name_or_path or name_or_path.endswith(_FILE_SUFFIXES)


def _packaged(file_name: str) -> Path | None:
    path = Path(__file__).parent / file_name
    return path if path.is_file() else None


def _provisioned(name: str) -> Path | None:
    folder = os.environ.get("PRELABEL_WEIGHTS_DIR")
    if not folder:
        return None
    published = ZOO[name].file_names if name in ZOO else ()
    paths = (Path(folder).expanduser() / file for file in (f"{name}{_SUFFIX}", *published))
    return next((path for path in paths if path.is_file()), None)


def _read_named(name: str, path: Path) -> Checkpoint:
    if name in ZOO and path.suffix != _SUFFIX:
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
    mask_head = _packaged(entry.mask_head) if entry.mask_head else None
    return checkpoint.with_mask_head(read_safetensors(mask_head)) if mask_head else checkpoint


def _check_name(name: str) -> None:
    if name == STARTER or name in ZOO:
        raise WeightsError(f"the name {name!r} is taken by published weights; choose another one")
    if not _NAME.fullmatch(name) or name.endswith(_FILE_SUFFIXES):
        raise WeightsError(
            f"{name!r} cannot be a name: use letters, digits, '.', '_' and '-', and no file suffix"
        )


def _not_found(name: str, folders: Sequence[Path]) -> str:
    if name == STARTER:
        return "this installation of prelabel lacks its starter weights"
    if name in ZOO:
        return (
            f"the weights {name!r} are not on this machine: run `prelabel weights pull {name}`, or put "
            f"{ZOO[name].published_file} into a folder and set PRELABEL_WEIGHTS_DIR to it"
        )
    imported = [stored for folder in folders or (default_folder(),) for stored in stored_names(folder)]
    known = ", ".join(dict.fromkeys([STARTER, *ZOO, *imported]))
    return f"there are no weights called {name!r}; known are {known}"
