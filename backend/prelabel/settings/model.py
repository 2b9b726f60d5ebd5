"""Settings of inference: the weights, what runs them, and what becomes of what they find."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from fbnetv3.config import RefinedEdges
from fbnetv3.engines.opening import EngineName
from prelabel.settings.fields import MIB, AbsolutePath, sizes_in_order, usable_cores


class ModelSettings(BaseModel):
    """The model that serves, and how its predictions are made."""

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
        description="Objects below this score are not pre-labelled where the weights have no operating point of "
        "their own, as versions have; where few images were held out, an operating point stays near it. A control "
        "tag's `model_score_threshold` attribute overrides both.",
    )
    prelabel_weights: str = Field(
        "auto",
        min_length=1,
        description="The weights to serve: a zoo name, `starter`, `coco` or a file. "
        "`auto` is `coco` where these weights have been pulled, else `starter`.",
    )
    prelabel_weights_dir: AbsolutePath | None = Field(
        None,
        description="A folder searched for weights before the network is: for machines without internet.",
    )
    prelabel_classifier_weights: AbsolutePath | None = Field(
        None,
        description="The file of the ImageNet classifier's published weights, for `prelabel classify` and for "
        "choices; no classifier when not set.",
    )
    prelabel_prompt_cache_bytes: int = Field(
        256 * MIB,
        ge=0,
        description="Memory of a server process for what the network made of the images that people work on, "
        "so that a smart tool answers at once; least recently used out first, 0 keeps none.",
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

    @model_validator(mode="after")
    def _input_sizes_in_order(self) -> Self:
        return sizes_in_order(self, "prelabel_min_size", "prelabel_max_size")

    @property
    def inference_threads(self) -> int:
        """CPU threads of one inference."""
        return self.prelabel_inference_threads or usable_cores()

    @property
    def network_settings(self) -> dict[str, Any]:
        """What the environment changes of the network's own configuration, by the network's names."""
        chosen = {
            "min_size": self.prelabel_min_size,
            "max_size": self.prelabel_max_size,
            "post_nms_proposals_test": self.prelabel_proposals,
        }
        return {name: value for name, value in chosen.items() if value is not None}
