"""The folders that weights live in, and which file a name stands for.

Names are looked for in `PRELABEL_WEIGHTS_DIR`, which holds what somebody provisioned for a machine without
internet, and then in the store, `MODEL_DIR` or `PRELABEL_HOME/models`, which prelabel writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fbnetv3.weights.checkpoint import WeightsError
from fbnetv3.weights.zoo import ZOO

STARTER = "starter"
SUFFIX = ".safetensors"
FILE_SUFFIXES = (SUFFIX, ".pt", ".pth", ".ckpt")


def default_folder() -> Path:
    """The store: `MODEL_DIR`, else `models` in `PRELABEL_HOME`, which is `~/.prelabel` unless set."""
    if folder := os.environ.get("MODEL_DIR"):
        return Path(folder).expanduser()
    return Path(os.environ.get("PRELABEL_HOME") or "~/.prelabel").expanduser() / "models"


def weights_file(name_or_path: str | Path, folders: Sequence[Path] = ()) -> Path:
    """The file that `load_checkpoint` reads, by the same rules. Raises WeightsError where there is none."""
    if is_path(name_or_path):
        return Path(name_or_path).expanduser()
    name = str(name_or_path)
    path = find_weights(name, folders)
    if path is None:
        raise WeightsError(_not_found(name, folders))
    return path


def weights_files(name_or_path: str | Path) -> list[Path]:
    """Every file whose content decides what `load_checkpoint` gives. Raises WeightsError likewise."""
    path = weights_file(name_or_path)
    added = None
    if not is_path(name_or_path) and path.suffix != SUFFIX and str(name_or_path) in ZOO:
        mask_head = ZOO[str(name_or_path)].mask_head
        added = packaged(mask_head) if mask_head else None
    return [path, added] if added else [path]


def find_weights(name: str, folders: Sequence[Path] = ()) -> Path | None:
    """The file that `load_checkpoint` reads for `name`, or None."""
    if name == STARTER:
        return packaged(f"{STARTER}{SUFFIX}")
    stored = (folder / f"{name}{SUFFIX}" for folder in folders or (default_folder(),))
    return provisioned(name) or next((path for path in stored if path.is_file()), None)


def stored_names(folder: Path | None = None) -> list[str]:
    """The names of the weights in `folder` (default: `default_folder()`)."""
    return sorted(path.stem for path in (folder or default_folder()).glob(f"[!.]*{SUFFIX}"))


def is_path(name_or_path: str | Path) -> bool:
    """Whether this is a file: a Path, or a string with a separator or the suffix of a weights file."""
    if isinstance(name_or_path, Path):
        return True
    return "/" in name_or_path or os.sep in name_or_path or name_or_path.endswith(FILE_SUFFIXES)


def packaged(file_name: str) -> Path | None:
    """A file that came with the package."""
    path = Path(__file__).parent / file_name
    return path if path.is_file() else None


def provisioned(name: str) -> Path | None:
    """The file for a name in `PRELABEL_WEIGHTS_DIR`."""
    folder = os.environ.get("PRELABEL_WEIGHTS_DIR")
    if not folder:
        return None
    published = ZOO[name].file_names if name in ZOO else ()
    paths = (Path(folder).expanduser() / file for file in (f"{name}{SUFFIX}", *published))
    return next((path for path in paths if path.is_file()), None)


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
