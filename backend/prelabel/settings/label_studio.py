"""Settings of Label Studio: where it answers, and what its requests carry."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, Field, SecretStr, field_validator

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


class LabelStudioSettings(BaseModel):
    """How Label Studio is reached."""

    label_studio_url: str = Field(
        "http://localhost:8080",
        pattern=r"^https?://[^/\s@]+",
        examples=["http://localhost:8080"],
        description="Where Label Studio answers, as seen from prelabel. Its token is sent to this host only.",
    )
    prelabel_label_studio_public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s@]+",
        examples=["https://labels.example.com"],
        description="Where people's browsers reach Label Studio, for links on the console's pages; LABEL_STUDIO_URL "
        "when not set.",
    )
    label_studio_api_key: SecretStr | None = Field(
        None,
        description="A personal access token or a legacy token of a user who can read the projects; "
        "needed for images that Label Studio itself serves, and for every command that changes a project.",
    )
    prelabel_label_studio_headers: SecretStr | None = Field(
        None,
        examples=['{"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}'],
        description="Headers for every request to Label Studio, as a JSON object: what a proxy in front of it asks "
        "for. With an Authorization among them, the token travels in X-Api-Key, which takes a legacy token.",
    )

    @field_validator("label_studio_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("prelabel_label_studio_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            read_headers(value.get_secret_value())
        return value

    @property
    def label_studio_headers(self) -> dict[str, str]:
        """What every request to Label Studio carries for a proxy in front of it."""
        headers = self.prelabel_label_studio_headers
        return read_headers(headers.get_secret_value()) if headers else {}
