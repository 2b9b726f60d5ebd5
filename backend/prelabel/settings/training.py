"""Settings of training: when a project is trained, with what means, and how."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from fbnetv3.config import Norm
from prelabel.settings.fields import GIB, sizes_in_order, usable_cores

AnchorSize = Annotated[float, Field(gt=0)]


class TrainingSettings(BaseModel):
    """The worker, and the training runs that it starts."""

    prelabel_worker: bool = Field(
        True, description="Whether `prelabel serve` also runs the worker, which trains in the background."
    )
    prelabel_queue_url: SecretStr | None = Field(
        None,
        description="Redis for the messages that wake the worker: a redis:// or rediss:// URL (pip install redis); "
        "an SQLite file under PRELABEL_HOME when not set.",
    )
    prelabel_train_every: int = Field(
        20, ge=0, description="Newly accepted labels after which a project is trained; 0 is never."
    )
    prelabel_train_interval: float | None = Field(
        None, gt=0, description="Hours after which a project is trained anyway; never when not set."
    )
    prelabel_train_min_labels: int = Field(
        10, ge=1, description="Labelled tasks that a project needs before it is trained at all."
    )
    prelabel_reconcile_minutes: float = Field(
        10,
        gt=0,
        description="How often the worker asks Label Studio for the number of labels, since webhooks get lost.",
    )
    prelabel_training_threads: int | None = Field(
        None, ge=1, le=256, description="CPU threads of a training; half of the cores when not set."
    )
    prelabel_training_nice: int = Field(
        10, ge=0, le=19, description="How far a training gives way to everything else that wants the CPU."
    )
    prelabel_training_devices: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that train together: a GPU each where DEVICE is cuda; on the CPU they share the "
        "threads of a training.",
    )
    prelabel_frozen_stages: int | None = Field(
        None,
        ge=0,
        le=5,
        description="First stages of the network that training leaves as they are; chosen when not set.",
    )
    prelabel_train_epochs: float | None = Field(
        None,
        gt=0,
        description="How often training sees each image; chosen for the number of images when not set.",
    )
    prelabel_learning_rate: float | None = Field(
        None, gt=0, le=1, description="The highest learning rate of a training; chosen when not set."
    )
    prelabel_train_batch_size: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Images per step of a training, of all its processes together; chosen when not set.",
    )
    prelabel_train_min_size: int | None = Field(
        None,
        ge=64,
        le=2048,
        description="Shorter side in pixels of the input that new versions are trained and served with; chosen for "
        "the sizes of the labelled objects when not set.",
    )
    prelabel_train_max_size: int | None = Field(
        None,
        ge=64,
        le=4096,
        description="Longest side of that input in pixels; chosen with the shorter one when not set.",
    )
    prelabel_anchor_sizes: Annotated[tuple[AnchorSize, ...] | None, NoDecode] = Field(
        None,
        description="Comma-separated anchor sizes in network pixels, as many as the start weights have (5); chosen "
        "for the sizes of the labelled objects when not set.",
    )
    prelabel_flip: bool = Field(
        True, description="Whether training also sees images mirrored: false where labels say left and right."
    )
    prelabel_norm: Norm | None = Field(
        None,
        description="Normalisation layers of the part that learns: FrozenBN, BN, GN, NaiveSyncBN or (GPUs only) "
        "SyncBN; chosen when not set.",
    )
    prelabel_feature_cache_bytes: int = Field(
        4 * GIB,
        ge=0,
        description="Outputs of the frozen stages kept on disk for each project at most, least recently used out "
        "first; 0 keeps none.",
    )

    @field_validator("prelabel_queue_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must be a redis:// or rediss:// URL")
        return value

    @field_validator("prelabel_anchor_sizes", mode="before")
    @classmethod
    def _split_sizes(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip()) or None
        return value

    @model_validator(mode="after")
    def _training_sizes_in_order(self) -> Self:
        return sizes_in_order(self, "prelabel_train_min_size", "prelabel_train_max_size")

    @property
    def training_threads(self) -> int:
        """CPU threads of a training run."""
        return self.prelabel_training_threads or max(usable_cores() // 2, 1)
