"""Build a network of the zoo by its config's name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.config import ModelConfig
from fbnetv3.network.rcnn import RCNN
from fbnetv3.weights import Checkpoint, WeightsError, load_checkpoint
from fbnetv3.weights.checkpoint import MASK_HEAD

logger = logging.getLogger(__name__)

#: Layers whose shape follows the number of classes.
PREDICTORS = ("roi_heads.box_predictor.", "roi_heads.mask_head.predictor.")


def list_models() -> list[str]:
    """Names that `create_model` knows."""
    return sorted(ARCHITECTURES)


def create_model(
    name: str,
    weights: str | Path | Checkpoint | None = None,
    num_classes: int | None = None,
    **settings: Any,
) -> RCNN:
    """Build the network `name`, in training mode.

    `weights`: a zoo name, a file or a read Checkpoint; None: `initial_weights` of the settings, else random.
    `num_classes`: None takes the weights' own, else 80; the predictors of weights with another number of classes
    stay at their initialisation. `settings`: fields of ModelConfig.

    Raises ConfigError for a wrong name or setting, WeightsError for weights that do not fit.
    """
    source = weights if weights is not None else settings.get("initial_weights")
    checkpoint = load_checkpoint(source) if isinstance(source, str | Path) else source
    if checkpoint is not None:
        settings = {**checkpoint.settings, **settings}
        num_classes = num_classes if num_classes is not None else len(checkpoint.labels)
    if num_classes is not None:
        settings["num_classes"] = num_classes
    model = RCNN(name, ModelConfig.for_model(name, **settings))
    if checkpoint is not None:
        load_state(model, checkpoint)
    model.freeze_stages(model.config.frozen_stages)
    return model


def load_state(model: RCNN, checkpoint: Checkpoint) -> None:
    """Copy the checkpoint's tensors into the model.

    Left out: a mask head that one of the two lacks, predictors where the weights are for another number of
    classes, running statistics that the model's norm does not have. Anything else that is missing or does not
    fit is a WeightsError.
    """
    own = model.state_dict()
    state = checkpoint.state if model.has_masks else checkpoint.without_masks().state
    other_classes = len(checkpoint.labels) != model.config.num_classes
    left_out = {key for key in state if _not_needed(key, state[key], own, other_classes)}
    state = {key: tensor for key, tensor in state.items() if key not in left_out}
    unfit = sorted(key for key, tensor in state.items() if key not in own or not _fits(tensor, own[key]))
    kept = {key for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked")}
    if not checkpoint.has_masks:
        left_out |= {key for key in kept if key.startswith(MASK_HEAD)}
    missing = sorted(kept - left_out)
    if unfit or missing:
        findings = [_missing(missing), *(_misfit(key, state[key], own.get(key)) for key in unfit[:1])]
        more = f" and {len(unfit) - 1} more do not fit" if len(unfit) > 1 else ""
        raise WeightsError(
            f"these weights ({checkpoint.model}) do not fit {model.name}: {'; '.join(filter(None, findings))}{more}"
        )
    fresh = sorted(left_out & own.keys())
    if fresh:
        logger.warning(
            "%s: %d tensors keep their initialisation, for example %s", model.name, len(fresh), fresh[0]
        )
    model.load_state_dict(state, strict=False)


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return tensor.shape == own.shape and (tensor.is_floating_point() or not own.is_floating_point())


def _missing(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
    return f"{names[0]}{more} missing"


def _misfit(name: str, tensor: Tensor, own: Tensor | None) -> str:
    if own is None:
        return f"{name} is unknown"
    has, wanted = (f"{tuple(one.shape)} of {one.dtype}".replace("torch.", "") for one in (tensor, own))
    return f"{name} is {has}, not {wanted}"


def _not_needed(key: str, tensor: Tensor, own: dict[str, Tensor], other_classes: bool) -> bool:
    if key.startswith(PREDICTORS) and key in own:
        return other_classes and own[key].shape != tensor.shape
    return key not in own and key.endswith(("running_mean", "running_var", "num_batches_tracked"))
