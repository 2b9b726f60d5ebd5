"""The headers that a proxy in front of Label Studio asks for, as PRELABEL_LABEL_STUDIO_HEADERS states them."""

from __future__ import annotations

import json
import re

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, 5.6.2."""

HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
"""What requests sends as it is: printable ASCII without blanks at the ends."""


def read_headers(text: str) -> dict[str, str]:
    """The headers in the setting's text, a JSON object. Raises ValueError: the rest of a sentence, without values."""
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None
    if not isinstance(headers, dict):
        raise ValueError('must be a JSON object of header names and values, such as {"X-Proxy-Key": "..."}')
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"must not have the header name {name!r}: that is none")
        if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"must have a value of printable ASCII text for {name}")
    return headers
