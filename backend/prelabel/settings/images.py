"""Settings of fetching the images of tasks: how large they may be, and where they may come from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from prelabel.settings.fields import GIB, MIB, AbsolutePath, comma_separated


class ImageSettings(BaseModel):
    """What images of tasks may cost, and where they may come from."""

    prelabel_max_image_pixels: int = Field(
        100_000_000,
        ge=1_000_000,
        description="A larger image (width times height) is not decoded: its task stays empty.",
    )
    prelabel_max_image_bytes: int = Field(
        64 * MIB, ge=MIB, description="A larger image file is not fetched: its task stays empty."
    )
    prelabel_fetch_timeout: float = Field(
        20, gt=0, le=300, description="Seconds after which fetching one image is given up."
    )
    prelabel_image_cache_bytes: int = Field(
        GIB,
        ge=0,
        description="Fetched images kept on disk at most, least recently used out first; 0 keeps none.",
    )
    prelabel_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts (name or name:port) that images may come from besides Label "
        "Studio, private addresses included; when not set, every host with a public address.",
    )
    prelabel_allow_private_addresses: bool = Field(
        False, description="Allow images on hosts with private, loopback or link-local addresses."
    )
    prelabel_local_files_root: AbsolutePath | None = Field(
        None,
        description="Label Studio's LOCAL_FILES_SERVING_DOCUMENT_ROOT where this machine has it too: its "
        "images are read from disk, nothing outside it is.",
    )

    @field_validator("prelabel_allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return comma_separated(value.lower() if isinstance(value, str) else value)
