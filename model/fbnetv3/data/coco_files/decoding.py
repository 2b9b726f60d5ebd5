"""The bytes of an annotation file as JSON, whichever way its text is encoded."""

from __future__ import annotations

import json
from typing import Any

from fbnetv3.data.coco import CocoError


def decode_json(raw: bytes) -> dict[str, Any]:
    """An object of JSON in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises CocoError, a sentence without a subject.
    """
    if not raw.strip(b"\0 \t\r\n"):
        raise CocoError("is empty")
    try:
        data = json.loads(raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff"))
    except UnicodeDecodeError:
        raise CocoError("is not JSON: it is not text in UTF-8 or UTF-16") from None
    except json.JSONDecodeError as error:
        raise CocoError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise CocoError("is not JSON that can be read: it has a number of thousands of digits") from None
    except RecursionError:
        raise CocoError("is not JSON that can be read: its lists are nested too deeply") from None
    if not isinstance(data, dict):
        raise CocoError(
            f"is not in COCO's format: it is a {type(data).__name__}, not an object with images, "
            "annotations and categories"
        )
    return data
