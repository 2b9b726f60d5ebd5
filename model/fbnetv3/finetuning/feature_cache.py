"""What the frozen stages made of each view, on disk in half precision, so that an epoch need not compute it again."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

SUFFIX = ".safetensors"

LEFT_SECONDS = 3600.0
"""Nobody writes a file for so long: it is left of a process that was killed."""


class FeatureCache:
    """Tensors by key in the files of a folder, of `limit` bytes together at most.

    What was used longest ago makes room, but nothing that this object was asked for or given: where all of that
    does not fit, the rest is simply not kept. Several processes may share the folder.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_half_written()
        files = [(path, path.stat()) for path in folder.glob(f"[!.]*{SUFFIX}")]
        self._sizes = {
            path.name: status.st_size for path, status in sorted(files, key=lambda f: f[1].st_mtime)
        }
        self._total = sum(self._sizes.values())
        self._in_use: set[str] = set()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The tensors under this key (a file name without suffix), None where there are none."""
        path = self.folder / f"{key}{SUFFIX}"
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError):
            return None
        if path.name not in self._in_use:
            os.utime(path)
            self._in_use.add(path.name)
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors, where there is room for them."""
        path = self.folder / f"{key}{SUFFIX}"
        size = sum(tensor.nbytes for tensor in tensors.values())
        if not self._make_room(size):
            return
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            save_file(dict(tensors), temporary)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        self._sizes[path.name] = size
        self._total += size
        self._in_use.add(path.name)

    def _remove_half_written(self) -> None:
        for path in self.folder.glob(f".*{SUFFIX}.*"):
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                path.unlink(missing_ok=True)

    def _make_room(self, size: int) -> bool:
        for name in [name for name in self._sizes if name not in self._in_use]:
            if self._total + size <= self.limit:
                break
            (self.folder / name).unlink(missing_ok=True)
            self._total -= self._sizes.pop(name)
        return self._total + size <= self.limit
