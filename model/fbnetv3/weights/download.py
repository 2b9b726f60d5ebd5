"""Fetches one file over HTTPS: resumed where it was cut off, verified, and in place only when it is whole."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from fbnetv3.files import file_sha256
from fbnetv3.weights.checkpoint import WeightsError

logger = logging.getLogger(__name__)

# Called with the bytes on disk and, where the server says it, the bytes of the whole file.
Progress = Callable[[int, int | None], None]

ATTEMPTS = 4
# Seconds. An unreachable host shows at once; a slow one may be slow.
_CONNECT_TIMEOUT, _READ_TIMEOUT = 5, 30
_FIRST_PAUSE = 0.5
# Bytes; as many are lost at most when a transfer is cut off.
_CHUNK = 1 << 16
_OK, _PARTIAL, _RANGE_NOT_SATISFIABLE, _TOO_MANY_REQUESTS, _SERVER_ERRORS = 200, 206, 416, 429, 500


class _Interrupted(Exception):
    """The transfer ended early for a reason that may pass."""


_PASSING = (
    _Interrupted,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


@dataclass(frozen=True)
class _Part:
    """What has arrived so far, and the server's mark of the version that it belongs to."""

    file: Path
    mark: Path

    @classmethod
    def of(cls, path: Path) -> _Part:
        return cls(path.with_name(path.name + ".part"), path.with_name(path.name + ".part.version"))

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    @property
    def version(self) -> str | None:
        return self.mark.read_text() if self.mark.exists() else None

    def restart(self, version: str | None) -> None:
        self.delete()
        if version:
            self.mark.write_text(version)

    def delete(self) -> None:
        self.file.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)


class _LoopbackOnly(HTTPAdapter):
    """Plain HTTP: for this machine only, redirects included."""

    def send(self, request: requests.PreparedRequest, *args: Any, **settings: Any) -> requests.Response:
        if not _is_loopback(urlsplit(request.url or "").hostname or ""):
            raise requests.exceptions.InvalidURL(f"{request.url} is not https")
        return super().send(request, *args, **settings)


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    attempts: int = ATTEMPTS,
) -> str:
    """Fetch `url` into `path` and return its SHA-256 in hexadecimal digits.

    Until the file is whole it is called `<path>.part`; a later call goes on from there if the server still
    has the same version. `size` (bytes) and `sha256`, where given, are verified. Raises WeightsError when the
    server cannot be reached in `attempts` tries, refuses, or sends something else.
    """
    part = _Part.of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _transfer_with_retries(url, part, progress or (lambda done, total: None), attempts)
        digest = _verify(url, part, size, sha256)
        part.file.replace(path)
        part.delete()
    except requests.RequestException as error:
        raise WeightsError(f"{url} cannot be fetched: {error}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror}") from error
    return digest


def _transfer_with_retries(url: str, part: _Part, progress: Progress, attempts: int) -> None:
    with requests.Session() as session:
        session.mount("http://", _LoopbackOnly())
        for attempt in range(1, attempts + 1):
            try:
                return _transfer(session, url, part, progress)
            except _PASSING as error:
                if attempt == attempts:
                    raise WeightsError(f"{url} cannot be fetched: {_reason(error)}") from error
                logger.info("fetching %s: %s; trying again", url, _reason(error))
                time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))


def _transfer(session: requests.Session, url: str, part: _Part, progress: Progress) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    timeout = (_CONNECT_TIMEOUT, _READ_TIMEOUT)
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        total = _prepare(response, part)
        with part.file.open("ab") as file:
            progress(file.tell(), total)
            for chunk in response.iter_content(_CHUNK) if response.ok else ():
                file.write(chunk)
                progress(file.tell(), total)
    if total is not None and part.size != total:
        raise _Interrupted(f"the connection ended after {part.size} of {total} bytes")


def _prepare(response: requests.Response, part: _Part) -> int | None:
    """Make `part` what the body of `response` continues; returns the size of the whole file if told."""
    status = response.status_code
    if status == _OK:
        part.restart(_version(response))
        length = response.headers.get("Content-Length")
        return int(length) if length else None
    if status in (_PARTIAL, _RANGE_NOT_SATISFIABLE):
        start, total = _content_range(response)
        if start == part.size or (start is None and total == part.size):
            return total
        part.delete()
        raise _Interrupted("the server sent another part of the file than asked for")
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        raise _Interrupted(f"the server answered {status}")
    raise WeightsError(f"{response.url} cannot be fetched: the server answered {status} {response.reason}")


def _version(response: requests.Response) -> str | None:
    """What `If-Range` may carry: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and whole size from `bytes 5-9/10`, `bytes */10` or `bytes 5-9/*`; None: not told."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    start, total = match.groups()
    return int(start) if start else None, int(total) if total else None


def _verify(url: str, part: _Part, size: int | None, sha256: str | None) -> str:
    digest = file_sha256(part.file)
    if size not in (None, part.size):
        wrong = f"it has {part.size} bytes, not {size}"
    elif sha256 not in (None, digest):
        wrong = f"its SHA-256 is {digest}, not {sha256}"
    else:
        return digest
    part.delete()
    raise WeightsError(f"{url} does not give the published file: {wrong}")


def _reason(error: Exception) -> str:
    if isinstance(error, _Interrupted):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    return "the server cannot be reached or ended the connection"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
