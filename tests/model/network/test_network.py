"""Every network of the zoo finds and learns; anchors, batches and the choice of detections are the original's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_networks import (
    C4,
    FASTER_C4,
    FPN,
    LABELS,
    changes,
    copy_of,
    labelled_image,
    small_network,
    training_step,
    two_images,
    without_values,
)
from torch import Tensor, nn

from fbnetv3 import ModelConfig, create_model, list_models
from fbnetv3.network.box_head import BoxOutputs, choose_detections
from fbnetv3.network.targets import Bitmaps, Target

LOSSES = {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg"}


class TestZoo:
    @pytest.mark.parametrize("name", list_models())
    def test_each_finds_something(self, name: str) -> None:
        model = small_network(name)
        assert model.training and model.name == name
        model.eval()
        with torch.inference_mode():
            [found] = model([labelled_image()[0]])
        count = len(found.boxes)
        assert 0 < count <= model.config.detections_per_image
        assert found.scores.shape == found.classes.shape == (count,)
        assert (found.scores[:-1] >= found.scores[1:]).all()
        assert found.classes.min() >= 0 and found.classes.max() < len(LABELS)
        assert model.has_masks == name.startswith("mask")
        if model.has_masks:
            assert found.mask_probabilities is not None
            assert found.mask_probabilities.shape == (count, 28, 28)
            assert found.mask_probabilities.min() >= 0 and found.mask_probabilities.max() <= 1
        else:
            assert found.mask_probabilities is None

    @pytest.mark.parametrize("name", [C4, "faster_rcnn_fbnetv3g_fpn"])
    def test_each_kind_learns(self, name: str) -> None:
        model = small_network(name)
        before = copy_of(model)
        losses = training_step(model, *two_images())
        assert losses.keys() == LOSSES | ({"loss_mask"} if model.has_masks else set())
        assert all(0 < value < 100 for value in losses.values())
        changed = changes(before, model)
        for part in ("backbone", "proposal_generator", "roi_heads.box_head", "roi_heads.box_predictor"):
            assert any(key.startswith(part) for key in changed), part

    def test_steps_lower_the_loss(self) -> None:
        model = small_network(norm="GN")
        losses = [sum(training_step(model, *two_images()).values()) for _ in range(8)]
        assert losses[-1] < 0.8 * losses[0]

    def test_training_needs_targets(self) -> None:
        with pytest.raises(ValueError, match="needs targets"):
            small_network()([labelled_image()[0]])

    def test_targets_without_masks_give_no_mask_loss(self) -> None:
        images, targets = two_images()
        losses = training_step(small_network(), images, [replace(target, masks=None) for target in targets])
        assert losses.keys() == LOSSES

    def test_objects_without_a_mask_do_not_count_in_the_mask_loss(self) -> None:
        images, [first, second] = two_images()
        known = torch.tensor([True, False])

        def loss(*targets: Target) -> float:
            return training_step(small_network(), images, list(targets))["loss_mask"]

        assert isinstance(first.masks, Bitmaps)
        other = Bitmaps(torch.stack([first.masks.pixels[0], ~first.masks.pixels[1]]))
        part = loss(replace(first, has_mask=known), second)
        assert part == loss(replace(first, masks=other, has_mask=known), second)
        assert part != pytest.approx(loss(first, second), rel=1e-4)
        assert loss(first, second) == loss(replace(first, has_mask=torch.tensor([True, True])), second)

    def test_an_image_without_masks_leaves_the_others_theirs(self) -> None:
        images, [first, second] = two_images()
        none = torch.zeros(2, dtype=torch.bool)
        losses = [
            training_step(small_network(), images, [without, second])["loss_mask"]
            for without in (replace(first, masks=None), replace(first, has_mask=none))
        ]
        assert losses[0] == losses[1] > 0

    @pytest.mark.parametrize("objects", [0, 2])
    def test_without_a_known_mask_the_mask_loss_is_zero_and_reaches_the_mask_head(self, objects: int) -> None:
        image, target = labelled_image(objects=objects)
        model = small_network()
        losses = model([image], [replace(target, has_mask=torch.zeros(objects, dtype=torch.bool))])
        losses["loss_mask"].backward()
        assert losses["loss_mask"].item() == 0
        assert all(p.grad is not None and not p.grad.any() for p in model.roi_heads.mask_head.parameters())
        assert all(value.isfinite().all() for value in model.state_dict().values())

    def test_the_seed_decides_which_regions_count(self) -> None:
        model = small_network(norm="GN")
        images, targets = two_images()
        losses = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append([value.item() for value in model(images, targets).values()])
        assert losses[0] == losses[1] != losses[2]


class TestBatches:
    def test_the_mean_is_subtracted_before_padding_with_zeros(self) -> None:
        images = [torch.full((3, 4, 6), 200.0), torch.full((3, 5, 2), 100.0)]
        batch = small_network().normalise(images)
        assert batch.shape == (2, 3, 5, 6)
        blue_green_red = torch.tensor([103.53, 116.28, 123.675])
        assert torch.allclose(batch[0, :, 3, 5], 200 - blue_green_red)
        assert torch.allclose(batch[1, :, 4, 1], 100 - blue_green_red)
        assert not batch[0, :, 4:].any() and not batch[1, :, :, 2:].any()

    def test_a_pyramid_needs_sides_that_are_multiples_of_32(self) -> None:
        model = without_values(FPN)
        model.pixel_mean = torch.zeros(3, 1, 1)
        assert model.normalise([torch.zeros(3, 33, 64), torch.zeros(3, 20, 70)]).shape == (2, 3, 64, 96)

    def test_boxes_stay_inside_each_image_of_a_batch(self) -> None:
        """Not only inside the padded batch."""
        model = small_network(norm="GN").eval()
        nn.init.normal_(
            model.get_parameter("proposal_generator.rpn_head.rpn_regressor.bbox_pred.bias"), std=1.0
        )
        sizes = [(64, 40), (32, 96), (48, 48)]
        with torch.inference_mode():
            found = model([labelled_image(size, seed=i)[0] for i, size in enumerate(sizes)])
        assert len(found) == 3
        for one, (height, width) in zip(found, sizes, strict=True):
            assert len(one.boxes) > 0
            assert one.boxes.min() >= 0
            assert one.boxes[:, 2].max() <= width and one.boxes[:, 3].max() <= height

    @pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside another image"])
    def test_an_image_without_objects_is_all_background(self, alone: bool) -> None:
        image, _ = labelled_image()
        _, nothing = labelled_image(objects=0)
        model = small_network()
        others = ([], []) if alone else two_images()
        losses = training_step(model, [image, *others[0]], [nothing, *others[1]])
        assert losses.keys() == LOSSES | {"loss_mask"}
        if alone:
            assert losses["loss_rpn_loc"] == losses["loss_box_reg"] == losses["loss_mask"] == 0
        assert losses["loss_rpn_cls"] > 0 and losses["loss_cls"] > 0
        assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


class TestAnchors:
    def test_the_grid(self) -> None:
        """Centred at (x, y) * stride without an offset; rows before columns before sizes before ratios."""
        model = create_model(FASTER_C4, anchor_sizes=((32, 64),))
        [anchors] = model.proposal_generator.anchors({"trunk3": torch.zeros(1, 112, 2, 3)})
        assert anchors.shape == (2 * 3 * 2 * 3, 4)
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        cells = [[16.0 * x, 16.0 * y] for y in range(2) for x in range(3)]
        assert torch.allclose(centres[::6], torch.tensor(cells))
        width, height = (anchors[:6, 2:] - anchors[:6, :2]).T
        assert (height / width).tolist() == pytest.approx([0.5, 1, 2, 0.5, 1, 2])
        assert (height * width).sqrt().tolist() == pytest.approx([32] * 3 + [64] * 3)


class TestChoice:
    """The last step: which (region, class) pairs are detections."""

    PROPOSALS = torch.tensor([[0.0, 0, 20, 20], [40, 0, 60, 20]])

    def choose(
        self, logits: list[list[float]], offsets: Tensor | None = None, **settings: float
    ) -> list[tuple]:
        classes = len(logits[0]) - 1
        if offsets is None:
            offsets = torch.zeros(len(logits), 4 * classes)
        config = ModelConfig.for_model(C4, num_classes=classes, **settings)
        outputs = BoxOutputs(torch.tensor(logits), offsets)
        found = choose_detections(outputs, self.PROPOSALS[: len(logits)], (100, 100), config)
        scores = [round(score, 3) for score in found.scores.tolist()]
        return list(zip(found.regions.tolist(), found.classes.tolist(), scores, strict=True))

    def test_the_last_class_is_background(self) -> None:
        assert self.choose([[0.0, 9.0]]) == []
        assert self.choose([[9.0, 0.0]]) == [(0, 0, 1.0)]

    def test_a_detection_scores_more_than_the_threshold(self) -> None:
        assert self.choose([[0.0, 0.0]], score_threshold=0.5) == []
        assert self.choose([[0.0, 0.0]], score_threshold=0.4999) == [(0, 0, 0.5)]

    def test_one_region_may_be_several_classes(self) -> None:
        assert self.choose([[1.0, 2.0, 0.0]]) == [(0, 1, 0.665), (0, 0, 0.245)]

    def test_the_best_come_first_and_only_so_many(self) -> None:
        logits = [[0.0, 0.0], [1.0, 0.0]]
        assert self.choose(logits) == [(1, 0, 0.731), (0, 0, 0.5)]
        assert self.choose(logits, detections_per_image=1) == [(1, 0, 0.731)]

    def test_each_class_has_its_own_box(self) -> None:
        """Class 1's box of the second region moves onto the first region's, which scores more: one of them goes."""
        offsets = torch.zeros(2, 8)
        offsets[1, 4] = -20.0
        logits = [[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]
        pairs = [(region, class_) for region, class_, _ in self.choose(logits, offsets)]
        assert pairs == [(0, 1), (1, 0), (0, 0)]

    def test_what_is_not_finite_is_left_out(self) -> None:
        assert self.choose([[float("nan"), 0.0], [2.0, 0.0]]) == [(1, 0, 0.881)]


class TestPoolers:
    @pytest.mark.parametrize("side", [4, 14])
    def test_the_mask_has_twice_the_side_of_its_region(self, side: int) -> None:
        """As the description of `mask_pooler_resolution` says."""
        model = small_network(mask_pooler_resolution=side).eval()
        with torch.inference_mode():
            features = {"trunk3": torch.randn(1, 112, 4, 4)}
            logits = model.mask_logits(features, [torch.tensor([[0.0, 0, 60, 60]])])
        assert logits.shape == (1, len(LABELS), 2 * side, 2 * side)

    def test_the_smallest_box_pooler_works(self) -> None:
        assert training_step(small_network(box_pooler_resolution=2), *two_images())["loss_cls"] > 0


def test_the_mask_loss_counts_so_many_regions_and_no_more() -> None:
    """The bound is per image; without one all of the foreground counts, as in the original."""
    images, targets = two_images()
    seen: dict[int | None, int] = {}
    for bound in (None, 1):
        model = small_network(roi_batch_per_image=16, mask_batch_per_image=bound)
        model.roi_heads.mask_head.register_forward_pre_hook(  # type: ignore[union-attr]
            lambda module, inputs, bound=bound: seen.update({bound: len(inputs[0])})
        )
        torch.manual_seed(0)
        model(images, targets)
    assert seen[1] == len(images) < (seen[None] or 0)
