"""The classifier's ImageNet weights: read from the file that its authors published, or from our own format."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torchvision.models import MobileNet_V3_Large_Weights

from fbnetv3.network.classifier import ClassifierNetwork
from fbnetv3.weights.checkpoint import Checkpoint, WeightsError
from fbnetv3.weights.d2go import read_tensors
from fbnetv3.weights.folders import SUFFIX
from fbnetv3.weights.safetensors_file import read_safetensors
from fbnetv3.weights.zoo import CLASSIFIER, CLASSIFIER_URL


def imagenet_labels() -> tuple[str, ...]:
    """ImageNet's 1000 names in the order of its classes, as torchvision has them; they are distinct."""
    return tuple(MobileNet_V3_Large_Weights.IMAGENET1K_V1.meta["categories"])


def read_classifier(path: Path) -> Checkpoint:
    """Read `{"state_dict": ...}` with `module.` before every name, as published, or what write_checkpoint wrote.

    Raises WeightsError for anything else: each tensor of the network must be there with its shape, and no other.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if path.suffix == SUFFIX:
        checkpoint = read_safetensors(path)
    else:
        checkpoint = Checkpoint(_floats(read_tensors(path)), CLASSIFIER, imagenet_labels())
    if difference := _difference(checkpoint.state):
        raise WeightsError(f"{path} is not the published {CLASSIFIER} ({CLASSIFIER_URL}): {difference}")
    return checkpoint


def build_classifier(checkpoint: Checkpoint) -> ClassifierNetwork:
    """The network with these weights, in evaluation mode."""
    network = ClassifierNetwork()
    network.load_state_dict(checkpoint.state)
    return network.eval()


def _floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _difference(state: dict[str, Tensor]) -> str | None:
    """What keeps the network from having these weights, in words."""
    wanted = {name: tuple(tensor.shape) for name, tensor in ClassifierNetwork().state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    odd = sorted(dict(wanted.items() ^ given.items()))
    return f"{len(odd)} tensors are missing or differ, for example {odd[0]}" if odd else None
