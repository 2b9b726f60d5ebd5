"""Settings of the server: where it listens, who may call it, how many processes and threads answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from prelabel.settings.fields import comma_separated


class ServerSettings(BaseModel):
    """How `prelabel serve` answers, and what it logs."""

    basic_auth_user: str | None = Field(
        None, description="With BASIC_AUTH_PASS: who may call the server. Not set: everybody who reaches it."
    )
    basic_auth_pass: SecretStr | None = Field(None, description="The password for BASIC_AUTH_USER.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least important lines that are logged."
    )
    host: str = Field(
        "127.0.0.1", description="The address to listen on; 0.0.0.0 is every network of the machine."
    )
    port: int = Field(9090, ge=1, le=65535, description="The port to listen on.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Server processes. Each loads its own copy of the model; one is enough on a laptop.",
    )
    threads: int = Field(
        8,
        ge=2,
        le=128,
        description="Requests that one process answers at a time, so that a long prediction blocks nobody.",
    )
    prelabel_webhook_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="When set, a webhook must carry it in the header X-Prelabel-Secret; `prelabel connect` puts "
        "it there.",
    )

    prelabel_console_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated names at which people open the console, besides localhost, the machine's own name "
        "and IP addresses; with BASIC_AUTH_USER set, every name is served.",
    )

    @field_validator("prelabel_console_hosts", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return comma_separated(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS must both be set, or neither")
        return self

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """The user and password that protect the server; None where it is open."""
        if self.basic_auth_user is None or self.basic_auth_pass is None:
            return None
        return self.basic_auth_user, self.basic_auth_pass.get_secret_value()

    @property
    def webhook_secret(self) -> str | None:
        """The secret that the server asks webhooks for."""
        secret = self.prelabel_webhook_secret
        return secret.get_secret_value() if secret else None
