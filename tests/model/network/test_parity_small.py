"""The network still computes what it computed when it equalled the original d2go: a case that needs no other files.

Weights come from numpy's legacy generator, whose stream never changes; batch norms are calibrated on the input.
The expected values were written by `python tests/model/test_parity_small.py` after every comparison in
test_parity.py had passed. All in float64, where rounding decides nothing; each tensor must be within 1e-5 of its
largest magnitude.
"""

from pathlib import Path

import numpy as np
import torch

from fbnetv3.config import ModelConfig
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Bitmaps, Target

CASE = Path(__file__).with_name("parity_small.npz")
NAME = "mask_rcnn_fbnetv3a_dsmask_C4"
CLASSES = 3


def seeded_model() -> RCNN:
    config = ModelConfig.for_model(
        NAME,
        num_classes=CLASSES,
        post_nms_proposals_test=20,
        post_nms_proposals_train=50,
        rpn_batch_per_image=4096,
        roi_batch_per_image=4096,
    )
    model = RCNN(NAME, config)
    random = np.random.RandomState(0)
    for name, parameter in sorted(model.named_parameters()):
        if parameter.ndim < 2:
            continue
        fan_out = parameter.shape[0] * int(np.prod(parameter.shape[2:]))
        if name.endswith("dw.conv.weight"):
            fan_out = int(np.prod(parameter.shape[2:]))
        spread = 0.05 if "bbox_pred" in name else np.sqrt(2 / fan_out)
        parameter.data = torch.from_numpy(random.normal(0, spread, parameter.shape).astype(np.float32))
    return model.double()


def inputs() -> tuple[list[torch.Tensor], list[Target]]:
    random = np.random.RandomState(1)
    coarse = random.uniform(0, 255, (2, 3, 12, 16)).astype(np.float32)
    batch = torch.nn.functional.interpolate(
        torch.from_numpy(coarse).double(), scale_factor=8, mode="bilinear"
    )
    images = [batch[0], batch[1, :, :80, :112]]
    targets = []
    for image, box in zip(images, ([10, 20, 70, 80], [30, 5, 100, 60]), strict=True):
        pixels = torch.zeros(1, *image.shape[-2:], dtype=torch.bool)
        pixels[0, box[1] : box[3], box[0] : (box[0] + box[2]) // 2] = True
        targets.append(Target(torch.tensor([box], dtype=torch.float64), torch.tensor([1]), Bitmaps(pixels)))
    return images, targets


def compute() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    model = seeded_model().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images, targets = inputs()
    losses = model(images, targets)
    torch.stack(list(losses.values())).sum().backward()
    gradients = [float(parameter.grad.norm()) for _, parameter in sorted(model.named_parameters())]
    model.eval()
    with torch.inference_mode():
        features = model.backbone(model.normalise(images))["trunk3"]
        found = model(images)
    case = {f"loss/{name}": value.detach().numpy() for name, value in losses.items()}
    case |= {"gradient_norms": np.array(gradients), "trunk3": features[:, ::8].numpy()}
    for i, one in enumerate(found):
        case |= {
            f"{i}/boxes": one.boxes.numpy(),
            f"{i}/scores": one.scores.numpy(),
            f"{i}/classes": one.classes.numpy(),
        }
        case |= {f"{i}/masks": one.mask_probabilities[:, ::4, ::4].numpy()}
    return {name: np.asarray(value, np.float32) for name, value in case.items()}


def test_the_network_computes_what_it_did():
    with np.load(CASE) as file:
        expected = dict(file)
    found = compute()
    assert found.keys() == expected.keys()
    assert len(expected["0/boxes"]) >= 5
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        assert np.abs(found[name] - value).max() <= 1e-5 * np.abs(value).max(), name


if __name__ == "__main__":
    np.savez_compressed(CASE, **compute())
