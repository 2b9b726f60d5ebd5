"""Geometry of boxes: what is coded comes back, matching follows detectron2's rules, sampling keeps its counts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fbnetv3.network.boxes import BoxCoder, clip, match, nonempty, sample

CODERS = [BoxCoder(1.0, 1.0, 1.0, 1.0), BoxCoder(10.0, 10.0, 5.0, 5.0)]

corner = st.floats(-100, 900, width=32)
side = st.floats(5, 300, width=32)
box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def tensor(*boxes: tuple[float, ...]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(len(boxes), 4)


class TestCoder:
    @pytest.mark.parametrize("coder", CODERS, ids=str)
    @given(reference=box, true_box=box)
    def test_a_coded_box_comes_back(
        self, coder: BoxCoder, reference: tuple[float, ...], true_box: tuple[float, ...]
    ) -> None:
        """Sides of 5 to 300 pixels stay below the bound on growth."""
        references, boxes = tensor(reference), tensor(true_box)
        decoded = coder.decode(references, coder.encode(references, boxes))
        assert (decoded - boxes).abs().max() < 2e-3

    def test_offsets_by_hand(self) -> None:
        """The centre moves by (10, -5) = half the width, a quarter of the height; width doubles, height halves."""
        coder = BoxCoder(10.0, 10.0, 5.0, 5.0)
        offsets = coder.encode(tensor((0, 0, 20, 20)), tensor((0, 0, 40, 10)))
        assert offsets[0].tolist() == pytest.approx([5, -2.5, 5 * math.log(2), -5 * math.log(2)])

    def test_no_offset_is_the_reference(self) -> None:
        references = tensor((3, 4, 10, 30))
        for coder in CODERS:
            assert coder.encode(references, references).abs().max() == 0
            assert torch.equal(coder.decode(references, torch.zeros(1, 4)), references)

    def test_several_boxes_per_reference(self) -> None:
        coder = CODERS[1]
        references = tensor((0, 0, 10, 10), (50, 50, 70, 90))
        offsets = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
        decoded = coder.decode(references, offsets)
        assert decoded.shape == (2, 12)
        for k in range(3):
            one = slice(4 * k, 4 * k + 4)
            assert torch.allclose(decoded[:, one], coder.decode(references, offsets[:, one].contiguous()))

    def test_growth_is_bounded(self) -> None:
        decoded = CODERS[0].decode(tensor((0, 0, 16, 16)), torch.tensor([[0.0, 0.0, 50.0, 100.0]]))
        assert (decoded[0, 2:] - decoded[0, :2]).tolist() == pytest.approx([1000, 1000], rel=1e-4)

    def test_no_boxes(self) -> None:
        empty = tensor()
        assert CODERS[0].encode(empty, empty).shape == (0, 4)


class TestBorders:
    def test_boxes_are_cut_at_height_and_width(self) -> None:
        boxes = tensor((-5, -6, 200, 300), (10, 20, 30, 40), (-9, -9, -1, -1))
        assert clip(boxes, (50, 100)).tolist() == [[0, 0, 100, 50], [10, 20, 30, 40], [0, 0, 0, 0]]

    def test_boxes_per_class_too(self) -> None:
        boxes = torch.full((2, 3, 4), 999.0)
        assert clip(boxes, (50, 100))[1, 2].tolist() == [100, 50, 100, 50]

    def test_the_argument_stays(self) -> None:
        boxes = tensor((-5, -6, 200, 300))
        clip(boxes, (50, 100))
        assert boxes.tolist() == [[-5, -6, 200, 300]]

    def test_nonempty(self) -> None:
        boxes = tensor((0, 0, 1, 1), (0, 0, 0, 5), (0, 0, 5, 0), (5, 5, 4, 6))
        assert nonempty(boxes).tolist() == [True, False, False, False]


class TestMatch:
    """One true box 10 wide; candidates as high that cover its left part, so that IoU is width / 10."""

    TRUTH = tensor((0, 0, 10, 10))

    @staticmethod
    def covering(*widths: float) -> Tensor:
        return tensor(*((0, 0, width, 10) for width in widths))

    def test_foreground_background_and_ignored(self) -> None:
        found = match(self.TRUTH, self.covering(1, 2.5, 5, 6.5, 8, 10), 0.3, 0.7)
        assert found.label.tolist() == [0, 0, -1, -1, 1, 1]

    def test_at_the_thresholds(self) -> None:
        """Background is below the lower one; foreground starts at the upper one (0.25 and 0.75 are exact)."""
        found = match(tensor((0, 0, 8, 8)), tensor((0, 0, 2, 8), (0, 0, 6, 8)), 0.25, 0.75)
        assert found.label.tolist() == [-1, 1]

    def test_equal_thresholds_ignore_nothing(self) -> None:
        found = match(tensor((0, 0, 8, 8)), tensor((0, 0, 3.9, 8), (0, 0, 4, 8)), 0.5, 0.5)
        assert found.label.tolist() == [0, 1]

    def test_each_box_gets_the_object_it_overlaps_most(self) -> None:
        truth = tensor((0, 0, 10, 10), (5, 0, 15, 10))
        found = match(truth, tensor((0, 0, 9, 10), (6, 0, 15, 10), (90, 90, 99, 99)), 0.3, 0.7)
        assert found.owner.tolist()[:2] == [0, 1] and found.label.tolist() == [1, 1, 0]

    def test_an_object_without_a_good_box_gets_its_best_ones(self) -> None:
        """Ties included; only where it is asked for."""
        boxes = tensor((0, 0, 4, 10), (6, 0, 10, 10), (0, 0, 3.5, 10), (0, 0, 1, 10))
        assert match(self.TRUTH, boxes, 0.3, 0.7).label.tolist() == [-1, -1, -1, 0]
        assert match(self.TRUTH, boxes, 0.3, 0.7, low_quality=True).label.tolist() == [1, 1, -1, 0]

    def test_even_below_the_lower_threshold(self) -> None:
        found = match(self.TRUTH, self.covering(1, 2), 0.3, 0.7, low_quality=True)
        assert found.label.tolist() == [0, 1]

    def test_a_best_box_keeps_its_own_object(self) -> None:
        """The second object's best box overlaps the first one more, and stays with it."""
        truth = tensor((0, 0, 10, 10), (9, 0, 19, 10))
        found = match(truth, tensor((0, 0, 11, 10)), 0.3, 0.7, low_quality=True)
        assert (found.owner.tolist(), found.label.tolist()) == ([0], [1])

    def test_without_objects_all_is_background(self) -> None:
        for low_quality in (False, True):
            found = match(tensor(), self.covering(1, 10), 0.3, 0.7, low_quality)
            assert found.label.tolist() == [0, 0] and found.owner.tolist() == [0, 0]


class TestSample:
    @staticmethod
    def masks(positives: int, negatives: int, ignored: int = 5) -> tuple[Tensor, Tensor]:
        kind = torch.tensor([1] * positives + [0] * negatives + [-1] * ignored)
        kind = kind[torch.randperm(len(kind), generator=torch.Generator().manual_seed(1))]
        return kind == 1, kind == 0

    @pytest.mark.parametrize(
        ("positives", "negatives", "expected"),
        [
            pytest.param(50, 50, (8, 24), id="enough of both"),
            pytest.param(3, 50, (3, 29), id="few positives are filled up with negatives"),
            pytest.param(50, 4, (8, 4), id="few negatives are not filled up"),
            pytest.param(0, 50, (0, 32), id="no positives"),
            pytest.param(0, 0, (0, 0), id="nothing"),
        ],
    )
    def test_counts(self, positives: int, negatives: int, expected: tuple[int, int]) -> None:
        positive, negative = self.masks(positives, negatives)
        chosen, rest = sample(positive, negative, 32, 0.25)
        assert (len(chosen), len(rest)) == expected
        assert positive[chosen].all() and negative[rest].all()
        assert len({*chosen.tolist(), *rest.tolist()}) == sum(expected)

    def test_the_choice_is_random_and_repeats_with_the_seed(self) -> None:
        positive, negative = self.masks(50, 50)
        choices = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            choices.append(torch.cat(sample(positive, negative, 32, 0.25)).tolist())
        assert choices[0] == choices[1] != choices[2]

    def test_every_entry_can_be_chosen(self) -> None:
        positive, negative = self.masks(6, 6)
        torch.manual_seed(0)
        seen = {index for _ in range(60) for index in torch.cat(sample(positive, negative, 4, 0.5)).tolist()}
        assert seen == set((positive | negative).nonzero().flatten().tolist())
