"""A bounded folder of fetched images with what it takes to ask their servers whether they changed.

One file per URL: a line of JSON (validators and checksum), then the image. Names are hashes, so nothing of a
URL becomes a path. Files appear by rename; a damaged one is dropped when it is read. Threads and processes
may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

EVICT_TO = 0.9
"""Eviction goes on to this share of the limit, so that it does not run on every write."""

SCAN_EVERY = 0.05
"""The folder is measured again after writes of this share of the limit: other processes write to it too."""


@dataclass(frozen=True)
class CachedImage:
    """An image and the validators that its server gave with it."""

    content: bytes
    etag: str
    last_modified: str

    def conditions(self) -> dict[str, str]:
        """Request headers that make a server answer 304 if the image has not changed."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified}


class ImageCache:
    """The newest images by URL, `limit_bytes` of them in all; the least recently used go first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._unmeasured = limit_bytes  # so that the first write measures the folder
        self._lock = threading.Lock()

    def get(self, url: str) -> CachedImage | None:
        """The image stored for a URL, whole; its server must still be asked whether it is current."""
        path = self._path(url)
        try:
            header, _, content = path.read_bytes().partition(b"\n")
            fields = json.loads(header)
            image = CachedImage(content, fields["etag"], fields["last_modified"])
            if fields["sha256"] != hashlib.sha256(content).hexdigest():
                raise ValueError("checksum")
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("Dropped a damaged file from the image cache: %s", path.name)
            self._remove(path)
            return None
        return image

    def put(self, url: str, image: CachedImage) -> None:
        """Store an image, unless it has no validator (nobody could say that it is current) or is too large.

        A full or read-only disk costs speed, not the image: it is logged.
        """
        if not (image.etag or image.last_modified) or len(image.content) > self._limit:
            return
        fields = {"etag": image.etag, "last_modified": image.last_modified}
        fields["sha256"] = hashlib.sha256(image.content).hexdigest()
        try:
            self._write(self._path(url), json.dumps(fields).encode() + b"\n" + image.content)
            self._evict(len(image.content))
        except OSError as error:
            logger.warning("The image cache cannot be written: %s", error.strerror)

    def _path(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except OSError:
            self._remove(Path(temporary))
            raise

    def _evict(self, written: int) -> None:
        """Measure the folder from time to time and delete what was not used for longest."""
        with self._lock:
            self._unmeasured += written
            if self._unmeasured < SCAN_EVERY * self._limit:
                return
            self._unmeasured = 0
            files = sorted(self._files(), key=lambda file: file[0])
            total = sum(size for _, size, _ in files)
            if total <= self._limit:
                return
            for _, size, path in files:
                if total <= EVICT_TO * self._limit:
                    return
                self._remove(path)
                total -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """(last use, size, path) of everything in the folder."""
        files = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, Path(entry.path)))
        return files

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("A file of the image cache cannot be deleted: %s", error.strerror)
