"""What file an image record may mean: its name as tools and systems write it, as paths below a folder."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is uploaded."""

_DRIVE = re.compile(r"^[A-Za-z]:(?=[/\\])")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


def readings(name: str) -> list[str]:
    """The paths that a name may stand for, the likeliest first: as it is, with `/` for `\\`, of an address its path
    and the file that its query names, and each of them percent-decoded.
    """
    slashed = _DRIVE.sub("", name).replace("\\", "/")
    written = [name, slashed]
    for address in (slashed, unquote(slashed)):
        if _SCHEME.match(address) or "?" in address:
            written += [*_queried(address), _path(address)]
    decoded = [*map(unquote, written), unquote_plus(slashed), unquote(unquote(slashed))]
    written += [one.replace("\\", "/") for one in decoded]
    return list(dict.fromkeys(one for one in written if one and "\0" not in one))


def _queried(address: str) -> list[str]:
    """Label Studio's local files: `/data/local-files/?d=folder/name.jpg`."""
    query = address.partition("?")[2]
    return [query.removeprefix("d=").partition("&")[0]] * query.startswith("d=") + parse_qs(query).get(
        "d", []
    )


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return address.partition("?")[0]


def parts(path: str) -> tuple[str, ...] | None:
    """The steps of a path below a folder; None where it leads out of any, by its beginning or by `..`."""
    steps: list[str] = []
    for step in PurePosixPath(path).parts:
        if step == "..":
            if not steps:
                return None
            steps.pop()
        else:
            steps.append(step)
    return None if not steps or path.startswith("/") else tuple(steps)


def end(path: str) -> tuple[str, ...]:
    """The steps after the last `..` or the beginning."""
    steps = [step for step in PurePosixPath(path).parts if step not in ("/", "//")]
    above = [index for index, step in enumerate(steps) if step == ".."]
    return tuple(steps[above[-1] + 1 :] if above else steps)


def normal(name: str) -> str:
    """Accents in one form: macOS writes them as two characters, everything else as one."""
    return unicodedata.normalize("NFC", name)


def without_prefix(name: str) -> str:
    """A file's name without what Label Studio put before it."""
    return UPLOAD_PREFIX.sub("", name)
