"""The parts of a fine-tuning: start weights, views, masks of views, the cut network, the cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import C4, FPN, as_checkpoint, decided, labelled_image, small_network, with_statistics
from torch import Tensor

from fbnetv3.data.examples import SceneExamples
from fbnetv3.finetuning.feature_cache import FeatureCache
from fbnetv3.finetuning.first_scores import set_first_scores
from fbnetv3.finetuning.parts import IMAGE, FrozenPart, LearningPart, backbone_output
from fbnetv3.finetuning.start import sources_by_name, start_network, with_predictors
from fbnetv3.finetuning.view_masks import ViewMasks, shrink
from fbnetv3.finetuning.viewed import ViewedExamples
from fbnetv3.finetuning.views import View, look, make_views, view_size
from fbnetv3.images import to_network
from fbnetv3.instances import BoxMask
from fbnetv3.network.rcnn import RCNN
from fbnetv3.network.targets import Bitmaps
from fbnetv3.weights import Checkpoint

SCORES = "roi_heads.box_predictor.cls_score."
OFFSETS = "roi_heads.box_predictor.bbox_pred."
MASKS = "roi_heads.mask_head.predictor.mask_fcn_logits."


class TestStart:
    @pytest.fixture
    def start(self) -> Checkpoint:
        return as_checkpoint(small_network())

    def test_labels_are_found_by_name_whatever_the_case(self) -> None:
        found = sources_by_name(("Bolt", "nut", "washer"), ("bolt", "nut", "Nut"))
        assert found == {"Bolt": ["bolt"], "nut": ["nut"], "washer": []}

    def test_a_known_label_keeps_its_rows_and_background_its_own(self, start) -> None:
        new = with_predictors(start, ("gear", "washer"), {"gear": ["gear"]}).state
        old = start.state
        for part in ("weight", "bias"):
            assert torch.equal(new[SCORES + part][0], old[SCORES + part][2])
            assert torch.equal(new[SCORES + part][-1], old[SCORES + part][-1])
            assert torch.equal(new[OFFSETS + part][:4], old[OFFSETS + part][8:12])
            assert torch.equal(new[MASKS + part][0], old[MASKS + part][2])

    def test_a_label_of_several_begins_with_their_mean(self, start) -> None:
        new = with_predictors(start, ("fastener",), {"fastener": ["bolt", "nut"]}).state
        assert torch.allclose(new[SCORES + "weight"][0], start.state[SCORES + "weight"][:2].mean(0))
        assert torch.allclose(
            new[OFFSETS + "weight"], start.state[OFFSETS + "weight"].view(3, 4, -1)[:2].mean(0)
        )

    def test_a_new_label_knows_boxes_and_masks_of_objects(self, start) -> None:
        new = with_predictors(start, ("washer",), {}).state
        assert torch.allclose(new[OFFSETS + "weight"], start.state[OFFSETS + "weight"].view(3, 4, -1).mean(0))
        assert torch.allclose(new[MASKS + "weight"][0], start.state[MASKS + "weight"].mean(0))
        assert 0 < new[SCORES + "weight"][0].std() < 0.02

    def test_the_network_has_the_labels_and_all_else_of_the_start(self, start) -> None:
        model = start_network(start, ("a", "b"), {}, norm="FrozenBN")
        assert model.config.num_classes == 2 and model.config.norm == "FrozenBN"
        same = [
            name for name in start.state if "predictor" not in name and start.state[name].is_floating_point()
        ]
        assert all(torch.equal(model.state_dict()[name], start.state[name]) for name in same)


class TestViews:
    def test_the_first_is_the_image_as_it_is_served(self) -> None:
        example = SceneExamples(0, 1)[0]
        views = make_views(6, (1.0, 0.8), True, 0)
        size = view_size(example.image.shape[:2], views[0], 96, 128)
        assert np.array_equal(look(example, views[0], 96, 128), to_network(example.image, size))

    def test_they_differ_and_repeat(self) -> None:
        views = make_views(6, (1.0, 0.8, 1.25), True, 3)
        assert len(set(views)) == 6 and views == make_views(6, (1.0, 0.8, 1.25), True, 3)
        assert {view.scale for view in views} == {1.0, 0.8, 1.25}
        assert sum(view.mirrored for view in views) == 3

    def test_nothing_is_mirrored_where_left_and_right_matter(self) -> None:
        assert not any(view.mirrored for view in make_views(8, (1.0, 0.8), False, 0))

    def test_contrast_changes_by_a_fifth_and_brightness_by_20_levels_at_most(self) -> None:
        views = make_views(200, (1.0,), True, 0)
        gains, shifts = [view.gain for view in views], [view.shift for view in views]
        assert 0.8 <= min(gains) < 0.82 and 1.18 < max(gains) <= 1.2
        assert -20 <= min(shifts) < -18 and 18 < max(shifts) <= 20

    def test_brightness_stays_in_range(self) -> None:
        pixels = look(SceneExamples(0, 1)[0], View(gain=1.2, shift=20), 64, 96)
        assert pixels.min() >= 0 and pixels.max() <= 255


class TestViewMasks:
    @staticmethod
    def masks() -> tuple[list[BoxMask], Bitmaps]:
        rng = np.random.default_rng(0)
        full = np.zeros((3, 60, 80), bool)
        for i, (y, x, h, w) in enumerate(((5, 8, 30, 40), (0, 0, 12, 9), (40, 60, 20, 20))):
            full[i, y : y + h, x : x + w] = rng.random((h, w)) < 0.7
        return [BoxMask.from_full(mask) for mask in full], Bitmaps(torch.from_numpy(full))

    boxes = torch.tensor([[7.0, 4, 50, 36], [0, 0, 10, 13], [58.5, 38.2, 80, 60], [20, 10, 30, 20]])
    index = torch.tensor([0, 1, 2, 0])

    def test_they_are_what_full_bitmaps_give(self) -> None:
        """But at the edge of the image, beyond which RoIAlign repeats a pixel of a full bitmap."""
        cropped, full = self.masks()
        ours = ViewMasks(tuple(cropped), (1.0, 1.0)).crop(self.boxes, self.index, 28)
        differs = ours != full.crop(self.boxes, self.index, 28)
        assert not differs[[0, 3]].any() and differs.float().mean() < 0.01

    def test_mirrored_too(self) -> None:
        cropped, full = self.masks()
        ours = ViewMasks(tuple(cropped), (1.0, 1.0)).mirror(80).crop(self.boxes, self.index, 28)
        theirs = full.mirror(80).crop(self.boxes, self.index, 28)
        assert (ours != theirs).float().mean() < 0.01
        again = ViewMasks(tuple(cropped), (1.0, 1.0)).mirror(80).mirror(80)
        assert again.mirrored_width is None

    def test_a_view_of_half_the_size_sees_the_same(self) -> None:
        cropped, _ = self.masks()
        whole = ViewMasks(tuple(cropped), (1.0, 1.0)).crop(self.boxes, self.index, 14)
        half = ViewMasks(tuple(cropped), (2.0, 2.0)).crop(self.boxes / 2, self.index, 14)
        assert torch.equal(whole, half)

    def test_shrunk_masks_cover_the_same_place(self) -> None:
        y, x = np.mgrid[:200, :300]
        disc = BoxMask.from_full((x - 161) ** 2 + (y - 93) ** 2 < 40**2)
        small = shrink(disc, 0.25)
        truth = (np.mgrid[:50, :75][1] - 39.9) ** 2 + (np.mgrid[:50, :75][0] - 22.9) ** 2 < 10**2
        overlap = small.full((60, 80))[:50, :75]
        assert (overlap & truth).sum() / (overlap | truth).sum() > 0.93
        assert shrink(disc, 1.0) is disc


@pytest.mark.parametrize("name", [C4, FPN])
@pytest.mark.parametrize("frozen_stages", [0, 2, 3])
def test_the_two_parts_together_are_the_network(name: str, frozen_stages: int) -> None:
    model = small_network(name, frozen_stages=frozen_stages, norm="FrozenBN")
    image, target = labelled_image((96, 160))
    target = type(target)(target.boxes, target.classes, target.masks, seed=1)
    whole = model([image], [target])
    kept = FrozenPart(model, frozen_stages)(image)
    assert all(tensor.dtype == torch.float16 for tensor in kept.values())
    assert (IMAGE in kept) == (frozen_stages == 0)
    parts = LearningPart(model)([kept], [(96, 160)], [target])
    assert parts.keys() == whole.keys()
    for part, loss in whole.items():
        assert parts[part].item() == pytest.approx(loss.item(), rel=2e-2, abs=1e-3), part


def test_every_view_counts_the_same_whatever_its_neighbours() -> None:
    model = small_network(norm="FrozenBN")
    pairs = [labelled_image((64, 64), 2, 0), labelled_image((48, 80), 1, 1)]
    views = [
        ({IMAGE: image.half()}, image.shape[-2:], type(t)(t.boxes, t.classes, t.masks, seed=5))
        for image, t in pairs
    ]
    part = LearningPart(model)
    together = part(*zip(*views, strict=True))
    alone = [part(*([item] for item in view)) for view in views]
    for name, loss in together.items():
        assert loss.item() == pytest.approx(sum(one[name].item() for one in alone) / 2, rel=1e-5)


class TestFirstScores:
    """On a picture whose objects are bright rectangles."""

    @staticmethod
    def scores(model: RCNN, examples: ViewedExamples) -> tuple[Tensor, Tensor]:
        """Scores of the labelled objects and of the proposals: (n, classes + 1), (m, classes + 1)."""
        view = examples.view(0, 0)
        with torch.no_grad():
            features = backbone_output(model.eval(), view.features)
            [proposals], _ = model.proposal_generator(features, [view.size])
            objects, found = (
                model.box_outputs(features, [boxes]).logits.softmax(1)
                for boxes in (view.target.boxes, proposals.boxes)
            )
        return objects, found

    def test_objects_score_as_their_label_and_proposals_as_background(self) -> None:
        examples = SceneExamples(3, 1, (128, 160))
        model = with_statistics(decided(small_network(num_classes=len(examples.labels))))
        viewed = ViewedExamples(examples, (View(),), FrozenPart(model, 2), None, 128, 192)
        classes = torch.from_numpy(examples[0].classes)
        set_first_scores(model, viewed, range(len(examples.labels)))
        objects, proposals = self.scores(model, viewed)
        own = objects.gather(1, classes[:, None])
        assert own.mean() > 2 * proposals[:, classes.unique()].mean()
        assert proposals[:, -1].mean() > 0.5

    def test_a_new_label_without_objects_stays_below_background(self) -> None:
        examples = SceneExamples(3, 1, (128, 160))
        new = len(examples.labels)
        model = small_network(num_classes=new + 1, norm="FrozenBN")
        viewed = ViewedExamples(examples, (View(),), FrozenPart(model, 2), None, 128, 192)
        set_first_scores(model, viewed, [new])
        objects, proposals = self.scores(model, viewed)
        assert max(objects[:, new].max(), proposals[:, new].max()) < 0.1


class TestFeatureCache:
    @staticmethod
    def tensors(value: float) -> dict[str, Tensor]:
        return {"trunk1": torch.full((1000,), value, dtype=torch.float16)}

    def test_it_keeps_what_it_is_given(self, tmp_path: Path) -> None:
        FeatureCache(tmp_path, 1 << 20).put("a", self.tensors(1.5))
        cache = FeatureCache(tmp_path, 1 << 20)
        kept = cache.get("a")
        assert kept is not None and torch.equal(kept["trunk1"], self.tensors(1.5)["trunk1"])
        assert cache.get("b") is None

    def test_what_was_used_longest_ago_makes_room(self, tmp_path: Path) -> None:
        first = FeatureCache(tmp_path, 7000)
        for number, key in enumerate("abc"):
            first.put(key, self.tensors(number))
            os.utime(tmp_path / f"{key}.safetensors", (number, number))
        later = FeatureCache(tmp_path, 7000)
        assert later.get("a") is not None
        later.put("d", self.tensors(9))
        assert {path.stem for path in tmp_path.iterdir()} == {"a", "c", "d"}

    def test_it_never_holds_more_than_its_limit(self, tmp_path: Path) -> None:
        cache = FeatureCache(tmp_path, 5000)
        for key in "abcde":
            cache.put(key, self.tensors(0))
        assert {path.stem for path in tmp_path.iterdir()} == {"a", "b"}, "what this run uses stays"

    def test_what_a_killed_process_left_is_removed(self, tmp_path: Path) -> None:
        left, fresh = (tmp_path / f".{name}.safetensors.0a1b" for name in "ab")
        for path in (left, fresh):
            path.write_bytes(b"half a f")
        os.utime(left, (0, 0))
        FeatureCache(tmp_path, 1 << 20)
        assert list(tmp_path.iterdir()) == [fresh], "somebody may be writing the other"

    def test_a_damaged_file_is_no_file(self, tmp_path: Path) -> None:
        cache = FeatureCache(tmp_path, 1 << 20)
        cache.put("a", self.tensors(1))
        (tmp_path / "a.safetensors").write_bytes(b"half a f")
        assert cache.get("a") is None
