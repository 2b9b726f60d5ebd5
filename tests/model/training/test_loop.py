"""The training loop follows its recipe, repeats with the seed, and stops when it has to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import C4, FEW_REGIONS, LABELS, as_checkpoint, small_network
from torch import Tensor, nn

from fbnetv3 import create_model
from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.network.targets import Target
from fbnetv3.recipes.coco_mask_head import MaskHeadTraining, jitter, to_checkpoint
from fbnetv3.training.loop import (
    Progress,
    TrainingConfig,
    TrainingError,
    batches,
    parameter_groups,
    rate,
    total,
    train,
)


@dataclass(frozen=True)
class Shades:
    """Pictures without objects; picture i has the grey level i, by which it is known again."""

    count: int
    labels: tuple[str, ...] = ("nothing",)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        image = np.full((32, 32, 3), index, np.uint8)
        return Example(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ())


def config(**settings: Any) -> TrainingConfig:
    small = {"steps": 3, "batch_size": 1, "min_sizes": (32,), "max_size": 64, "warmup_steps": 1, "workers": 0}
    return TrainingConfig(**{**small, **settings})


class TestBatches:
    @staticmethod
    def shades(**settings: Any) -> list[list[int]]:
        found = batches(Shades(6), config(**settings))
        return [[int(image[0, 0, 0]) for image in images] for images, _ in found]

    def test_so_many_batches_of_so_many(self) -> None:
        assert [len(batch) for batch in self.shades(steps=5, batch_size=4)] == [4] * 5

    def test_every_epoch_draws_each_example_once_in_a_new_order(self) -> None:
        drawn = list(chain.from_iterable(self.shades(steps=6, batch_size=4)))
        epochs = [drawn[start : start + 6] for start in range(0, 24, 6)]
        assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > 1

    def test_the_seed_decides_the_order(self) -> None:
        first, again, other = (self.shades(steps=6, seed=seed) for seed in (1, 1, 2))
        assert first == again != other

    def test_the_seed_decides_sizes_and_mirroring(self) -> None:
        def draw(seed: int) -> list[tuple[Tensor, Tensor]]:
            settings = config(steps=4, batch_size=2, seed=seed, min_sizes=(64, 80, 96), max_size=120)
            loader: Iterator[Any] = batches(SceneExamples(0, 4, (128, 160)), settings)
            return [(i, t.boxes) for images, targets in loader for i, t in zip(images, targets, strict=True)]

        first, again, other = draw(1), draw(1), draw(2)
        assert len(first) == 8
        for (image, boxes), (same_image, same_boxes) in zip(first, again, strict=True):
            assert torch.equal(image, same_image) and torch.equal(boxes, same_boxes)
        assert any(not torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


class TestRate:
    def test_up_linearly_then_down_along_a_cosine(self) -> None:
        assert [rate(step, 10, 110) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1, 1])
        falling = [rate(step, 10, 110) for step in (35, 60, 85, 110)]
        assert falling == pytest.approx([0.853553, 0.5, 0.146447, 0], abs=1e-6)
        rates = [rate(step, 10, 110) for step in range(10, 111)]
        assert rates == sorted(rates, reverse=True)

    def test_without_warm_up_it_starts_at_the_top(self) -> None:
        assert rate(0, 0, 10) == 1

    def test_a_training_shorter_than_its_warm_up(self) -> None:
        assert rate(4, 10, 5) == 0.5


@dataclass(eq=False)
class Slope(nn.Module):
    """One weight, whose loss falls by 1 per unit; `constants` are added step by step, and `path` is its history."""

    constants: list[float] = field(default_factory=lambda: [0.0] * 100)

    def __post_init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1))
        self.path: list[float] = []

    def forward(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        self.path.append(self.weight.item())
        constant = self.constants[len(self.path) - 1]
        return {"loss_slope": -self.weight.sum(), "loss_constant": torch.tensor(constant)}


class TestTrain:
    """The loop itself, on a model of one weight: AdamW moves it by the learning rate in each step."""

    def test_steps_follow_the_learning_rate(self) -> None:
        recipe = config(steps=6, warmup_steps=2, learning_rate=0.1, weight_decay=0.0)
        model = Slope()
        train(model, Shades(3), recipe)
        steps = np.diff([*model.path, model.weight.item()])
        assert steps == pytest.approx([0.1 * rate(step, 2, 6) for step in range(6)], rel=1e-3)

    def test_weights_decay(self) -> None:
        trained = []
        for decay in (0.0, 1.0):
            model = Slope()
            train(model, Shades(3), config(steps=20, learning_rate=0.1, weight_decay=decay))
            trained.append(model.weight.item())
        assert trained[1] < 0.8 * trained[0]

    def test_it_returns_the_average(self) -> None:
        """Which keeps little of its past at first, and `ema_decay` of it later."""
        model = Slope()
        average = train(model, Shades(3), config(steps=5, learning_rate=0.1, ema_decay=0.28))
        first, *others = [*model.path[1:], model.weight.item()]
        expected = first
        for keep, weight in zip((2 / 11, 3 / 12, 0.28, 0.28), others, strict=True):
            expected = keep * expected + (1 - keep) * weight
        assert average.weight.item() == pytest.approx(expected)
        assert average is not model and not average.training

    def test_progress_is_told_every_so_often_and_at_the_end(self) -> None:
        heard: list[Progress] = []
        model = Slope([1.0, 2.0, 3.0, 4.0, 5.0])
        train(model, Shades(3), config(steps=5), on_progress=heard.append, every=2)
        assert [progress.step for progress in heard] == [2, 4, 5]
        assert [progress.losses["loss_constant"] for progress in heard] == pytest.approx([1.5, 3.5, 5])
        assert heard[-1].seconds_left == 0 and heard[0].images_per_second > 0
        assert "step 4/5" in str(heard[1]) and "loss_constant 3.500" in str(heard[1])

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_it_stops_before_a_bad_loss_reaches_the_weights(self, bad: float) -> None:
        model = Slope([0.0, bad])
        with pytest.raises(TrainingError, match="loss_constant") as caught:
            train(model, Shades(3), config())
        assert "loss_slope" not in str(caught.value) and "learning rate" in str(caught.value)
        assert len(model.path) == 2 and model.weight.item() == model.path[1]

    def test_the_parts_of_the_loss_are_added(self) -> None:
        assert total({"a": torch.tensor(1.5), "b": torch.tensor(2.0)}).item() == 3.5


class TestTrainNetwork:
    @staticmethod
    def trained(seed: int) -> dict[str, Tensor]:
        recipe = config(min_sizes=(64,), max_size=96, learning_rate=1e-3, seed=seed)
        examples = SceneExamples(0, 2, (128, 160))
        model = small_network(num_classes=len(examples.labels))
        return train(model, examples, recipe).state_dict()

    def test_it_repeats_with_the_seed(self) -> None:
        first, again, other = self.trained(1), self.trained(1), self.trained(2)
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)

    def test_every_part_of_the_network_learns(self) -> None:
        before = small_network(num_classes=len(SceneExamples(0, 2).labels)).state_dict()
        after = self.trained(1)
        weights = [key for key in before if key.endswith("conv.weight")]
        still = [key for key in weights if torch.equal(before[key], after[key])]
        assert len(weights) > 80 and not still
        assert all(tensor.isfinite().all() for tensor in after.values())


class TestParameterGroups:
    def test_matrices_and_kernels_decay_norms_and_biases_do_not(self) -> None:
        model = small_network(frozen_stages=2)
        decaying, others = parameter_groups(model, 0.05)
        assert (decaying["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for parameter in decaying["params"]:
            assert names[id(parameter)].endswith("weight") and ".bn." not in names[id(parameter)]
        for parameter in others["params"]:
            assert names[id(parameter)].endswith("bias") or ".bn." in names[id(parameter)]

    def test_every_learning_parameter_is_in_one_group(self) -> None:
        model = small_network(frozen_stages=2)
        grouped = [id(p) for group in parameter_groups(model, 0.05) for p in group["params"]]
        learning = [id(p) for p in model.parameters() if p.requires_grad]
        assert sorted(grouped) == sorted(learning) and len(learning) < len(list(model.parameters()))


class TestMaskHead:
    """The recipe of a mask head on frozen box weights."""

    def test_only_the_head_learns(self) -> None:
        torch.manual_seed(0)
        training = MaskHeadTraining(small_network("faster_rcnn_fbnetv3a_dsmask_C4"))
        base = {key: tensor.clone() for key, tensor in training.base.state_dict().items()}
        head = {key: tensor.clone() for key, tensor in training.mask_head.state_dict().items()}
        trained = train(training, SceneExamples(0, 2, (128, 160)), config(min_sizes=(64,), max_size=96))
        assert all(torch.equal(base[key], tensor) for key, tensor in trained.base.state_dict().items())
        assert any(
            not torch.equal(head[key], tensor) for key, tensor in trained.mask_head.state_dict().items()
        )

    def test_its_one_channel_serves_every_label(self) -> None:
        faster = as_checkpoint(small_network("faster_rcnn_fbnetv3a_dsmask_C4"))
        training = MaskHeadTraining(small_network("faster_rcnn_fbnetv3a_dsmask_C4", seed=1))
        head = to_checkpoint(training.mask_head, LABELS, {"source": "a test"})
        model = create_model(C4, faster.with_mask_head(head), **FEW_REGIONS).eval()
        regions = [torch.tensor([[0.0, 0, 60, 60]])]
        with torch.inference_mode():
            logits = model.mask_logits({"trunk3": torch.randn(1, 112, 4, 4)}, regions)
        assert logits.shape[1] == len(LABELS) and logits[:, 0].std() > 0
        assert torch.equal(logits[:, 0], logits[:, 1]) and torch.equal(logits[:, 0], logits[:, 2])

    def test_jittered_boxes_stay_near_and_inside(self) -> None:
        torch.manual_seed(0)
        boxes = torch.tensor([[0.0, 0, 30, 20], [40, 10, 64, 48]]).repeat(50, 1)
        moved = jitter(boxes, (48, 64))
        assert moved.min() >= 0 and moved[:, 2].max() <= 64 and moved[:, 3].max() <= 48
        assert (moved[:, 2:] > moved[:, :2]).all() and len({tuple(box) for box in moved.tolist()}) > 90
        extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        assert ((moved - boxes).abs() <= 0.22 * extent).all()
