"""Every setting of prelabel: environment name, default, allowed range and what it does.

The environment name of a field is its name in capitals: `port` is read from `PORT`, `prelabel_home` from
`PRELABEL_HOME`. The names without a prefix are those of the Label Studio ML backend examples. A variable that
is set to nothing counts as not set.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fbnetv3.config import Norm, RefinedEdges
from fbnetv3.engines.opening import EngineName
from prelabel.errors import PrelabelError
from prelabel.settings.label_studio_headers import read_headers

StrategyName = Literal[
    "random",
    "least_confidence",
    "margin",
    "entropy",
    "expected_edits",
    "diversity",
    "representative",
    "representative_edits",
    "combined",
]
"""Those of fbnetv3.active_learning, which is not loaded for them."""

AnchorSize = Annotated[float, Field(gt=0)]

MIB = 1 << 20
GIB = 1 << 30

CONFIDENTIAL = frozenset(
    {
        "label_studio_api_key",
        "prelabel_label_studio_headers",
        "basic_auth_pass",
        "prelabel_database_url",
        "prelabel_queue_url",
        "prelabel_webhook_secret",
    }
)
"""Fields whose values are never shown: they hold passwords or tokens."""


class SettingsError(PrelabelError):
    """A setting has a value that it cannot have; the message is one sentence that names the variable."""


class Settings(BaseSettings):
    """The settings of one process. `load_settings` makes it and words errors for people."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="forbid", allow_inf_nan=False)

    label_studio_url: str = Field(
        "http://localhost:8080",
        pattern=r"^https?://[^/\s@]+",
        examples=["http://localhost:8080"],
        description="Where Label Studio answers, as seen from prelabel. Its token is sent to this host only.",
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
    model_dir: Path | None = Field(
        None, description="Where model files are kept; `models` under PRELABEL_HOME when not set."
    )
    device: str = Field(
        "cpu",
        pattern=r"^(cpu|mps|cuda(:\d+)?)$",
        examples=["cpu", "cuda", "cuda:0", "mps"],
        description="What the network runs on: cpu, cuda, cuda:N or mps.",
    )
    model_score_threshold: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Objects below this score are not pre-labelled; a control tag's `model_score_threshold` "
        "attribute goes before it.",
    )

    prelabel_home: Path = Field(
        Path("~/.prelabel"),
        description="The folder that holds everything prelabel keeps; /data in the container.",
    )
    prelabel_weights: str = Field(
        "auto",
        min_length=1,
        description="The weights to serve: a zoo name, `starter`, `coco` or a file. "
        "`auto` is `coco` where these weights have been pulled, else `starter`.",
    )
    prelabel_weights_dir: Path | None = Field(
        None,
        description="A folder searched for weights before the network is: for machines without internet.",
    )
    prelabel_classifier_weights: Path | None = Field(
        None,
        description="The file of the ImageNet classifier's published weights, for `prelabel classify` and for "
        "choices; no classifier when not set.",
    )
    prelabel_database_url: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9+]*://",
        examples=["sqlite:////data/prelabel.sqlite3", "postgresql+psycopg://user:password@host/prelabel"],
        description="Any SQLAlchemy URL; an SQLite file under PRELABEL_HOME when not set.",
    )
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
    prelabel_prompt_cache_bytes: int = Field(
        256 * MIB,
        ge=0,
        description="Memory of a server process for what the network made of the images that people work on, "
        "so that a smart tool answers at once; least recently used out first, 0 keeps none.",
    )
    prelabel_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts (name or name:port) that images may come from besides Label "
        "Studio, private addresses included; when not set, every host with a public address.",
    )
    prelabel_allow_private_addresses: bool = Field(
        False, description="Allow images on hosts with private, loopback or link-local addresses."
    )
    prelabel_local_files_root: Path | None = Field(
        None,
        description="Label Studio's LOCAL_FILES_SERVING_DOCUMENT_ROOT where this machine has it too: its "
        "images are read from disk, nothing outside it is.",
    )
    prelabel_batch_size: int = Field(
        4,
        ge=1,
        le=64,
        description="Images of one request that are fetched and decoded ahead of the network; "
        "where PyTorch runs on a GPU, they also go through it together.",
    )
    prelabel_engine: EngineName = Field(
        "auto",
        description="What runs the network. auto: ONNX Runtime on the CPU, PyTorch on other devices. "
        "onnxruntime: PyTorch only where the exported network does not agree with it. torch: PyTorch.",
    )
    prelabel_inference_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="CPU threads of one inference; the cores this process may use when not set.",
    )
    prelabel_polygon_tolerance: float = Field(
        0.01,
        ge=0,
        le=0.2,
        description="How far a simplified polygon may stray from the mask's outline, as a share of the root "
        "of its area; it keeps an IoU of at least 0.97 with the mask in any case.",
    )
    prelabel_refined_edges: RefinedEdges = Field(
        "prompts",
        description="Which masks get edges that follow the image. prompts: those of smart tools. all: those of "
        "predictions, too. none: neither.",
    )
    prelabel_min_size: int | None = Field(
        None,
        ge=64,
        le=2048,
        description="Shorter side of the network's input in pixels, for the base weights; their own when not set.",
    )
    prelabel_max_size: int | None = Field(
        None,
        ge=64,
        le=4096,
        description="Longest side of the network's input in pixels, for the base weights; their own when not set.",
    )
    prelabel_proposals: int | None = Field(
        None,
        ge=1,
        le=2000,
        description="Proposals per image that reach the box head, for the base weights; their own when not set.",
    )
    prelabel_loaded_versions: int = Field(
        4,
        ge=1,
        le=64,
        description="Versions of projects that one server process keeps loaded besides the base weights, least "
        "recently used out first.",
    )
    prelabel_seconds_check: float = Field(
        2.0, ge=0, le=3600, description="Seconds that a person takes to see that a region is right."
    )
    prelabel_seconds_correct_box: float = Field(
        5.0, ge=0, le=3600, description="Seconds that a person takes to correct a box."
    )
    prelabel_seconds_correct_mask: float = Field(
        40.0, ge=0, le=3600, description="Seconds that a person takes to correct a mask or polygon."
    )
    prelabel_seconds_draw_box: float = Field(
        7.0, ge=0, le=3600, description="Seconds that a person takes to draw a box."
    )
    prelabel_seconds_draw_mask: float = Field(
        79.2, ge=0, le=3600, description="Seconds that a person takes to draw a mask or polygon."
    )
    prelabel_seconds_delete: float = Field(
        3.0, ge=0, le=3600, description="Seconds that a person takes to delete a region that is wrong."
    )

    prelabel_strategy: StrategyName | Literal["none"] = Field(
        "representative_edits",
        description="What puts the unlabelled tasks in order: random, least_confidence, margin, entropy, "
        "expected_edits, diversity, representative, representative_edits or combined. none: after a promotion they "
        "stay as they are.",
    )
    prelabel_random_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the places in that order that are drawn at random, so that figures of the labels stay "
        "honest.",
    )

    prelabel_webhook_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="When set, a webhook must carry it in the header X-Prelabel-Secret; `prelabel connect` puts "
        "it there.",
    )
    prelabel_worker: bool = Field(
        True, description="Whether `prelabel serve` also runs the worker, which trains in the background."
    )
    prelabel_queue_url: SecretStr | None = Field(
        None,
        description="The queue that wakes the worker: a redis:// or rediss:// URL (pip install redis); an SQLite "
        "file under PRELABEL_HOME when not set.",
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

    @field_validator("prelabel_allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(host.strip().lower() for host in value.split(",") if host.strip())
        return value

    @field_validator("prelabel_label_studio_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            read_headers(value.get_secret_value())
        return value

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

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("label_studio_url")
    @classmethod
    def _without_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator(
        "prelabel_home",
        "model_dir",
        "prelabel_weights_dir",
        "prelabel_classifier_weights",
        "prelabel_local_files_root",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @model_validator(mode="after")
    def _both_or_neither(self) -> Settings:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS must both be set, or neither")
        return self

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Settings:
        for of in ("", "train_"):
            shorter, longest = f"prelabel_{of}min_size", f"prelabel_{of}max_size"
            sizes = getattr(self, shorter), getattr(self, longest)
            if all(sizes) and sizes[0] > sizes[1]:
                names = environment_name(shorter), environment_name(longest)
                raise ValueError("{} must not be larger than {}".format(*names))
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

    @property
    def label_studio_headers(self) -> dict[str, str]:
        """What every request to Label Studio carries for a proxy in front of it."""
        headers = self.prelabel_label_studio_headers
        return read_headers(headers.get_secret_value()) if headers else {}

    @property
    def model_folder(self) -> Path:
        """Where model files are kept."""
        return self.model_dir or self.prelabel_home / "models"

    @property
    def image_cache_path(self) -> Path:
        """Where fetched images are kept."""
        return self.prelabel_home / "cache" / "images"

    @property
    def look_cache_path(self) -> Path:
        """Where is kept what the network made of the images of each project's queue."""
        return self.prelabel_home / "cache" / "looks"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.prelabel_database_url or f"sqlite:///{self.prelabel_home / 'prelabel.sqlite3'}"

    @property
    def inference_threads(self) -> int:
        """CPU threads of one inference."""
        return self.prelabel_inference_threads or _usable_cores()

    @property
    def training_threads(self) -> int:
        """CPU threads of a training."""
        return self.prelabel_training_threads or max(_usable_cores() // 2, 1)

    @property
    def network_settings(self) -> dict[str, Any]:
        """What the environment changes of the network's own configuration, by the network's names."""
        chosen = {
            "min_size": self.prelabel_min_size,
            "max_size": self.prelabel_max_size,
            "post_nms_proposals_test": self.prelabel_proposals,
        }
        return {name: value for name, value in chosen.items() if value is not None}


def environment_name(field: str) -> str:
    """The environment variable that a field of `Settings` is read from."""
    return field.upper()


def load_settings(**overrides: Any) -> Settings:
    """The settings of the environment; `overrides` (field names; None is no override) go before it.

    Raises SettingsError.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_one_sentence(error)) from None


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    return {environment_name(name): _as_text(getattr(settings, name)) for name in settings.model_fields_set}


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence for each PRELABEL_* variable that is set and that nothing reads."""
    known = [environment_name(field) for field in Settings.model_fields]
    unknown = (name for name in sorted(environ) if name.startswith("PRELABEL_") and name not in known)
    return [_unknown_sentence(name, known) for name in unknown]


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return "" if value is None else str(value)


def _unknown_sentence(name: str, known: list[str]) -> str:
    closest = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"{name} is not a setting of prelabel and is ignored; the closest one is {closest[0]}"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_sentence(error: ValidationError) -> str:
    return "; ".join(_describe(problem) for problem in error.errors())


def _describe(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    shown = "" if name in CONFIDENTIAL else f" is {str(problem['input'])!r} but"
    return f"{environment_name(name)}{shown} {_rule(name, problem)}"


def _rule(name: str, problem: ErrorDetails) -> str:
    if problem["type"] == "string_pattern_mismatch":
        return "must look like " + " or ".join(Settings.model_fields[name].examples or ())
    said = problem["msg"].removeprefix("Value error, ")
    return said.split(", unable")[0].replace("Input should", "must")
