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
PRESIGN_PATH = re.compile(r"/(presign|resolve)/?$")

LONGEST_SHOWN = 300
"""Characters of a URL in a message."""

DATA_URI = re.compile(r"data:image/[\w.+-]+(;[\w=.+-]+)*;base64,", re.IGNORECASE)


def shown_url(url: str) -> str:
    """Where an image lies, for a message: host, path and the file that a query names; no user, no password, nothing
    else of the query (signatures live there).
    """
    if url[:5].lower() == "data:":
        return "a data: URI"
    try:
        parts = urlsplit(url)
        if parts.scheme in STORAGE_SCHEMES:
            return _printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the URL of the image"
    return _printable(f"{host}{port}{shown_path(url)}")


def shown_path(url: str) -> str:
    """The path of a valid URL, with the file that its query names: ?d= of local files, the storage URI of a presign
    link, decoded."""
    parts = urlsplit(url)
    name, uri = _local_name(parts), _presigned_uri(parts)
    if name:
        return _printable(f"{parts.path}?d={shown_url(name) if '://' in name else name.partition('?')[0]}")
    return _printable(f"{parts.path} of {shown_url(uri)}" if uri else parts.path)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:LONGEST_SHOWN]


def _local_name(parts: SplitResult) -> str | None:
    """What ?d= names, where the path is that of local files, whatever stands before it."""
    if not (parts.path.rstrip("/") + "/").endswith(LOCAL_FILES_PATH):
        return None
    return parse_qs(parts.query).get("d", [""])[0] or None


def _presigned_uri(parts: SplitResult) -> str | None:
    """The storage URI behind ?fileuri= of a presign or resolve link."""
    if not PRESIGN_PATH.search(parts.path):
        return None
    try:
        uri = base64.urlsafe_b64decode(parse_qs(parts.query)["fileuri"][0]).decode()
    except (KeyError, ValueError):
        return None
    return uri if uri.partition("://")[0] in STORAGE_SCHEMES else None


def split(url: str) -> SplitResult:
    """The parts of a URL. Raises FetchError when it is not one."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise FetchError(f"{shown_url(url)} is not a valid URL.") from None
    return parts


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an http(s) URL, which is what a browser calls the same site.

    Raises FetchError for any other URL.
    """
    parts = split(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError(f"{shown_url(url)} is not an http or https URL, and no other kind is fetched.")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def join(base: str, reference: str) -> str:
    """The URL that a redirect from `base` leads to. Raises FetchError when it is not one."""
    try:
        return urljoin(base, reference)
    except ValueError:
        raise FetchError(f"{shown_url(base)} redirects to something that is not a URL.") from None


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
    return _local_name(parts)


def missing_local_file(url: str) -> str | None:
    """One sentence for a local-files URL, absolute or not, whose file Label Studio does not have; None for others."""
    if not _local_name(split(url)):
        return None
    return (
        f"Label Studio has no file {shown_path(url)} (404): put it there below LOCAL_FILES_DOCUMENT_ROOT, in a folder "
        "that is connected to the project as local storage, or correct the task."
    )


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
