"""Fetching the images of tasks, wherever their URLs point: bounded, cached, careful about who gets the token.

* Paths of Label Studio (/data/upload/..., /data/local-files/?d=..., /tasks/ID/resolve/...) and absolute URLs
  of its origin: from Label Studio, with the token.
* s3://, gs://, azure-blob://: Label Studio is asked for a presigned URL, which is fetched without the token.
* Other http(s) URLs: without the token, from hosts that FetchLimits allows.
* data:image/...;base64: decoded.

Redirects are followed by hand, each one checked like a URL of its own. Once a chain has left Label Studio's
origin the token is not sent again, even if it comes back.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.http_session import PlainSession
from prelabel.labelstudio.errors import FetchError, LabelStudioError
from prelabel.labelstudio.fetching.addresses import GuardedAdapter
from prelabel.labelstudio.fetching.cache import CachedImage, ImageCache
from prelabel.labelstudio.urls import (
    decode_data_uri,
    join,
    local_file,
    missing_local_file,
    origin,
    presign_path,
    shown_url,
    split,
    storage_scheme,
)
from prelabel.settings.images import ImageSettings

__all__ = ["FetchError", "FetchLimits", "ImageFetcher"]

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
AWAY = frozenset({None, 502, 503, 504})
"""What a Label Studio that is stopped, restarted or overloaded answers, through a proxy or not at all."""

CONNECT_SECONDS = 5.0
"""A host that takes longer to take a connection is down, or behind a firewall that says nothing."""

READ_SECONDS = 15.0
"""Between two pieces of an image; what is silent for longer has stopped."""

CHUNK_BYTES = 2**18
NO_COMPRESSION = {"Accept-Encoding": "identity"}
"""Images are compressed already; and what is not packed cannot unpack to a thousand times its size."""


@dataclass(frozen=True)
class FetchLimits:
    """What fetching one image may cost and where it may go.

    `total_timeout`: seconds for one image in all. `allowed_hosts`: names, or name:port, of the hosts other than
    Label Studio that plain URLs may name; empty means every public host. A host in it may have a private address.
    `allow_private`: every host may. `local_roots`: folders from which /data/local-files/ is read directly, as
    Label Studio's document root seen from here.
    """

    max_bytes: int
    total_timeout: float
    cache_bytes: int
    allowed_hosts: frozenset[str]
    allow_private: bool
    local_roots: tuple[Path, ...]

    @classmethod
    def of(cls, settings: ImageSettings) -> FetchLimits:
        """Those of the settings."""
        root = settings.prelabel_local_files_root
        return cls(
            max_bytes=settings.prelabel_max_image_bytes,
            total_timeout=settings.prelabel_fetch_timeout,
            cache_bytes=settings.prelabel_image_cache_bytes,
            allowed_hosts=frozenset(settings.prelabel_allowed_hosts),
            allow_private=settings.prelabel_allow_private_addresses,
            local_roots=(root,) if root else (),
        )

    def lists(self, host: str, port: int) -> bool:
        """Whether `allowed_hosts` names this host."""
        return bool({host.lower(), f"{host.lower()}:{port}"} & {name.lower() for name in self.allowed_hosts})

    def may_be_private(self, host: str, port: int) -> bool:
        """Whether this host may have a private address."""
        return self.allow_private or self.lists(host, port)


class ImageFetcher:
    """Fetches the images of tasks. Safe to share between threads, and its folder between processes.

    `client` may be None where no Label Studio is configured: then only plain http(s) URLs and data: URIs
    work. Proxy settings of the environment count for Label Studio alone: through a proxy, addresses cannot be
    checked.
    """

    def __init__(self, client: LabelStudioClient | None, limits: FetchLimits, cache_dir: Path) -> None:
        self._client = client
        self._limits = limits
        self._cache = ImageCache(cache_dir, limits.cache_bytes)
        self._session = _guarded_session(limits)

    def fetch(self, url: object, task_id: int | None = None) -> bytes:
        """The bytes behind the image value of a task; `task_id` is needed for s3://, gs:// and azure-blob://.

        Raises FetchError: a sentence with host, path and the file's name, never with a signature.
        """
        if not url:
            raise FetchError("The task has no image.")
        if not isinstance(url, str):
            raise FetchError(f"The image of the task is a {type(url).__name__}, not a URL.")
        url = url.strip()
        if url[:5].lower() == "data:":
            return decode_data_uri(url, self._limits.max_bytes)
        content = self._read_local(url)
        if content is not None:
            return content
        try:
            cache_key = f"{self._client.url if self._client else ''} {url}"
            return self._download(self._absolute(url, task_id), cache_key)
        except (
            FetchError,
            LabelStudioError,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
        ) as error:
            reason = f"{_reason(error, url)}{self._looked_in(url)}"
            raise FetchError(reason, is_outage=_is_outage(error)) from None

    def _read_local(self, url: str) -> bytes | None:
        """The file of a local-files URL where it lies in one of the folders that may be read; else None."""
        name = local_file(url)
        for root in self._limits.local_roots if name else ():
            try:
                path = (root / str(name)).resolve()
                if path.is_relative_to(root.resolve()) and path.is_file():
                    if path.stat().st_size > self._limits.max_bytes:
                        raise self._too_large(url)
                    return path.read_bytes()
            except (OSError, ValueError, RuntimeError) as error:
                logger.debug("Left %s to Label Studio: %s", shown_url(url), error)
        return None

    def _looked_in(self, url: str) -> str:
        """A sentence on the folders where a local file was looked for in vain; empty for other URLs."""
        roots = self._limits.local_roots if local_file(url) else ()
        return (
            f" It is not in {', '.join(map(str, roots))} (PRELABEL_LOCAL_FILES_ROOT) either." if roots else ""
        )

    def _absolute(self, url: str, task_id: int | None) -> str:
        """The http(s) URL to ask first."""
        if not storage_scheme(url):
            if not url.startswith("/"):
                return url
            if url.startswith("//"):
                return f"{split(self._label_studio().url).scheme}:{url}"
            return self._below_label_studio(url)
        if task_id is None:
            raise FetchError(f"{shown_url(url)} can only be fetched for a stored task.")
        return self._label_studio().url + presign_path(url, task_id)

    def _below_label_studio(self, path: str) -> str:
        """A path of Label Studio as a URL; some paths start with Label Studio's path prefix already."""
        base = self._label_studio().url
        prefix = split(base).path
        return base.removesuffix(prefix) + path if path.startswith(f"{prefix}/") else base + path

    def _label_studio(self) -> LabelStudioClient:
        if self._client is None:
            raise FetchError("The image lies in Label Studio, whose address and token are not configured.")
        return self._client

    def _download(self, url: str, cache_key: str) -> bytes:
        """Follow `url` to an image, or to the word that the cached one is current."""
        deadline = time.monotonic() + self._limits.total_timeout
        cached = self._cache.get(cache_key)
        conditions = cached.conditions() if cached else {}
        vouched = with_token = self._label_studio_path(url) is not None
        for _ in range(MAX_REDIRECTS + 1):
            if not vouched:
                self._check_listed(url)
            with self._ask(url, with_token, conditions, deadline) as response:
                if response.status_code == 304 and cached:
                    return cached.content
                if not response.is_redirect:
                    return self._accept(response, with_token, deadline, cache_key)
                url = join(url, response.headers["Location"])
            with_token = with_token and self._label_studio_path(url) is not None
        raise FetchError(f"{shown_url(url)} is reached only through more than {MAX_REDIRECTS} redirects.")

    def _label_studio_path(self, url: str) -> str | None:
        """What follows Label Studio's own address in an http(s) URL; None for a URL that lies elsewhere."""
        here = origin(url)
        if self._client is None or here != origin(self._client.url):
            return None
        parts, prefix = split(url), split(self._client.url).path
        if not parts.path.startswith(f"{prefix}/"):
            return None
        return parts.path.removeprefix(prefix) + (f"?{parts.query}" if parts.query else "")

    def _check_listed(self, url: str) -> None:
        """A host that a task names must be in the list, if there is one."""
        _, host, port = origin(url)
        if self._limits.allowed_hosts and not self._limits.lists(host, port):
            raise FetchError(f"The host {host} is not among the allowed hosts.")

    def _ask(
        self, url: str, with_token: bool, conditions: dict[str, str], deadline: float
    ) -> requests.Response:
        """One request, answered with any status; the body is not read yet."""
        remaining = max(deadline - time.monotonic(), 0.001)
        timeout = min(CONNECT_SECONDS, remaining), min(READ_SECONDS, remaining)
        headers = {**NO_COMPRESSION, **conditions}
        path = self._label_studio_path(url)
        if with_token and path is not None:
            return self._label_studio().send("GET", path, headers=headers, timeout=timeout, stream=True)
        return self._session.get(url, headers=headers, timeout=timeout, stream=True)

    def _accept(
        self, response: requests.Response, with_token: bool, deadline: float, cache_key: str
    ) -> bytes:
        """The body of the last answer, which goes into the cache."""
        if response.status_code != 200:
            if with_token and response.status_code == 404 and (missing := missing_local_file(response.url)):
                raise FetchError(missing)
            if with_token:
                refusal = self._label_studio().refusal(response)
                raise FetchError(refusal, is_outage=response.status_code in AWAY)
            raise FetchError(f"{shown_url(response.url)} answered {response.status_code}.")
        content = self._read(response, deadline)
        headers = response.headers
        image = CachedImage(content, headers.get("ETag", ""), headers.get("Last-Modified", ""))
        self._cache.put(cache_key, image)
        return content

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """The body, given up as soon as it is too long or too late."""
        if (response.raw.length_remaining or 0) > self._limits.max_bytes:
            raise self._too_large(response.url)
        content = bytearray()
        # read1 returns what has arrived: a server that sends a byte a second must not hold the deadline up
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            content += chunk
            if len(content) > self._limits.max_bytes:
                raise self._too_large(response.url)
            if time.monotonic() > deadline:
                seconds = self._limits.total_timeout
                raise FetchError(f"{shown_url(response.url)} took longer than {seconds:g} seconds.")
        return bytes(content)

    def _too_large(self, url: str) -> FetchError:
        return FetchError(f"{shown_url(url)} is larger than {self._limits.max_bytes} bytes.")


def _guarded_session(limits: FetchLimits) -> requests.Session:
    session = PlainSession(GuardedAdapter(limits.may_be_private))
    session.trust_env = False
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    return session


def _is_outage(error: Exception) -> bool:
    if isinstance(error, FetchError):
        return error.is_outage
    return isinstance(error, LabelStudioError) and error.status in AWAY


def _reason(error: Exception, url: str) -> str:
    """Why a request failed; the texts of requests and urllib3 quote whole URLs, so they are not used."""
    if isinstance(error, FetchError | LabelStudioError):
        return str(error)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"{shown_url(url)} did not answer in time."
    if isinstance(error, requests.exceptions.SSLError):
        return f"{shown_url(url)} has a certificate that this machine does not trust."
    if isinstance(error, urllib3.exceptions.IncompleteRead | urllib3.exceptions.ProtocolError):
        return f"{shown_url(url)} broke off in the middle."
    return f"{shown_url(url)} cannot be reached."
