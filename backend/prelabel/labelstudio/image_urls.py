"""What the value of an image tag points to: an address to ask, a file to read directly, or the bytes.

Pure: nothing here opens a connection or a file.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import SplitResult, parse_qs, urljoin, urlsplit

from prelabel.labelstudio.errors import FetchError

STORAGE_SCHEMES = ("s3", "gs", "azure-blob")
"""URIs of cloud storage: only Label Studio has the credentials, it makes a link that is valid for minutes."""

LOCAL_FILES_PATH = "/data/local-files/"

DATA_URI = re.compile(r"data:image/[\w.+-]+(;[\w=.+-]+)*;base64,", re.IGNORECASE)


def place(url: str) -> str:
    """Host and path of a URL for a message: no user, no password, no query (signatures live there)."""
    if url[:5].lower() == "data:":
        return "a data: URI"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the URL of the image"
    return f"{host}{port}{parts.path}"[:200]


def split(url: str) -> SplitResult:
    """The parts of a URL. Raises FetchError when it is not one."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise FetchError(f"{place(url)} is not a valid URL.") from None
    return parts


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an http(s) URL, which is what a browser calls the same site.

    Raises FetchError for any other URL.
    """
    parts = split(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"{place(url)} is not an http or https URL, and no other kind is fetched.")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def join(base: str, reference: str) -> str:
    """The URL that a redirect from `base` leads to. Raises FetchError when it is not one."""
    try:
        return urljoin(base, reference)
    except ValueError:
        raise FetchError(f"{place(base)} redirects to something that is not a URL.") from None


def storage_scheme(url: str) -> bool:
    """Whether this is a URI of cloud storage."""
    return split(url).scheme in STORAGE_SCHEMES


def presign_path(uri: str, task_id: int) -> str:
    """Path under which Label Studio redirects to a presigned URL for a storage URI of a task."""
    encoded = base64.urlsafe_b64encode(uri.encode()).decode()
    return f"/tasks/{task_id}/presign/?fileuri={encoded}"


def local_file(url: str) -> str | None:
    """The path below Label Studio's document root that a local-files URL names; None for other URLs."""
    parts = split(url)
    if parts.netloc or parts.path.rstrip("/") + "/" != LOCAL_FILES_PATH:
        return None
    return parse_qs(parts.query).get("d", [""])[0] or None


def decode_data_uri(url: str, max_bytes: int) -> bytes:
    """The bytes of a base64 data:image URI. Raises FetchError if it is none, or above `max_bytes`."""
    head = DATA_URI.match(url)
    if head is None:
        raise FetchError("The data: URI is not a base64 image.")
    encoded = url[head.end() :]
    if len(encoded) * 3 // 4 - encoded[-2:].count("=") > max_bytes:
        raise FetchError(f"The data: URI holds more than {max_bytes} bytes.")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise FetchError("The data: URI is damaged.") from None
