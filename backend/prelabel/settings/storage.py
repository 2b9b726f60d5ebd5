"""Settings of what prelabel keeps: its folder, its models and its database."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from prelabel.settings.fields import AbsolutePath


class StorageSettings(BaseModel):
    """Where everything is kept."""

    model_dir: AbsolutePath | None = Field(
        None, description="Where model files are kept; `models` under PRELABEL_HOME when not set."
    )
    prelabel_home: AbsolutePath = Field(
        Path("~/.prelabel"),
        description="The folder that holds everything prelabel keeps; /data in the container.",
    )
    prelabel_database_url: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9+]*://",
        examples=["sqlite:////data/prelabel.sqlite3", "postgresql+psycopg://user:password@host/prelabel"],
        description="Any SQLAlchemy URL; an SQLite file under PRELABEL_HOME when not set.",
    )

    @property
    def model_folder(self) -> Path:
        """Where model files are kept."""
        return self.model_dir or self.prelabel_home / "models"

    @property
    def image_cache_path(self) -> Path:
        """Where fetched images are kept."""
        return self.prelabel_home / "cache" / "images"

    @property
    def queue_cache_path(self) -> Path:
        """Where features of the images of each project's queue are kept."""
        return self.prelabel_home / "cache" / "looks"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.prelabel_database_url or f"sqlite:///{self.prelabel_home / 'prelabel.sqlite3'}"
