"""Settings of training: when a project is trained, with what means, and how."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from fbnetv3.config import Norm
from fbnetv3.finetuning.cadence import FIRST, GROWTH, MANY_OBJECTS
from fbnetv3.finetuning.settings import HYPER_PARAMETERS, MOST_THREADS
from prelabel.settings.fields import comma_separated, sizes_in_order, usable_cores

AnchorSize = Annotated[float, Field(gt=0)]

HYPER_PARAMETER = "hyper_parameter"
"""In a field's schema: the setting of fine-tuning that it decides, where it does."""


def hyper_parameter(name: str) -> Any:
    """A field with the default, range and meaning that FineTuningSettings gives its setting of this name."""
    one = HYPER_PARAMETERS[name]
    bounds = {bound: value for bound in ("ge", "gt", "le") if (value := getattr(one, bound)) is not None}
    return Field(
        one.default, description=one.description, json_schema_extra={HYPER_PARAMETER: name}, **bounds
    )


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
    prelabel_provisional: bool = Field(
        True,
        description="Whether the worker makes a provisional version within seconds of every accepted annotation, as "
        "long as the project has had no promotion.",
    )
    prelabel_train_every: int | None = Field(
        None,
        ge=0,
        description="Newly accepted labels after which a project is trained; 0 is never; when not set, they are a "
        "share of those it was trained on: see PRELABEL_TRAIN_GROWTH.",
    )
    prelabel_train_growth: float = Field(
        GROWTH,
        gt=0,
        le=100,
        description="Newly accepted labels after which a project is trained, as a share of the labelled tasks that "
        "its last judged run had read.",
    )
    prelabel_train_interval: float | None = Field(
        None, gt=0, description="Hours after which a project is trained anyway; never when not set."
    )
    prelabel_train_min_labels: int = Field(
        FIRST,
        ge=1,
        description="Labelled tasks that a project needs before it is trained at all; as long as this is no more than "
        f"{FIRST} and PRELABEL_TRAIN_EVERY is not set, one task with {MANY_OBJECTS} objects is enough, too.",
    )
    prelabel_reconcile_minutes: float = Field(
        10,
        gt=0,
        description="How often the worker asks Label Studio for the number of labels, since webhooks get lost.",
    )
    prelabel_training_threads: int | None = Field(
        None,
        ge=1,
        le=MOST_THREADS,
        description="CPU threads of a training run, of all its processes together; half of the cores when not set.",
    )
    prelabel_training_nice: int = Field(
        10, ge=0, le=19, description="How far a training run gives way to everything else that wants the CPU."
    )
    prelabel_training_devices: int = hyper_parameter("devices")
    prelabel_frozen_stages: int | None = hyper_parameter("frozen_stages")
    prelabel_train_epochs: float | None = hyper_parameter("epochs")
    prelabel_learning_rate: float | None = hyper_parameter("learning_rate")
    prelabel_train_batch_size: int | None = hyper_parameter("batch_size")
    prelabel_train_min_size: int | None = hyper_parameter("min_size")
    prelabel_train_max_size: int | None = hyper_parameter("max_size")
    prelabel_anchor_sizes: Annotated[tuple[AnchorSize, ...] | None, NoDecode] = hyper_parameter(
        "anchor_sizes"
    )
    prelabel_flip: bool = hyper_parameter("flip")
    prelabel_norm: Norm | None = hyper_parameter("norm")
    prelabel_feature_cache_bytes: int = hyper_parameter("cache_bytes")

    @field_validator("prelabel_queue_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must be a redis:// or rediss:// URL")
        return value

    @field_validator("prelabel_anchor_sizes", mode="before")
    @classmethod
    def _split_sizes(cls, value: Any) -> Any:
        return comma_separated(value) or None if isinstance(value, str) else value

    @model_validator(mode="after")
    def _training_sizes_in_order(self) -> Self:
        return sizes_in_order(self, "prelabel_train_min_size", "prelabel_train_max_size")

    @property
    def hyper_parameters(self) -> dict[str, Any]:
        """What the environment says of a fine-tuning, by the names of FineTuningSettings."""
        marked = {name: field.json_schema_extra for name, field in type(self).model_fields.items()}
        return {
            str(extra[HYPER_PARAMETER]): getattr(self, name)
            for name, extra in marked.items()
            if isinstance(extra, dict) and HYPER_PARAMETER in extra
        }

    @property
    def training_threads(self) -> int:
        """CPU threads of a training run."""
        return self.prelabel_training_threads or min(max(usable_cores() // 2, 1), MOST_THREADS)
