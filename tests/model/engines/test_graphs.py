"""The exported graphs compute what the modules compute: every architecture and norm, any size, any number of boxes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from exported_networks import NETWORKS, pair, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import assert_close
from small_networks import LABELS
from torchvision.ops import batched_nms

from fbnetv3.engines.folding import folded, is_fixed
from fbnetv3.engines.graphs import AllClassesMaskHead, ImageGraph, OneClassMaskHead
from fbnetv3.images import to_network


class TestGraphs:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_norms_are_folded(self, name: str) -> None:
        """Only what takes its statistics from the image stays; with it, the mask head that knows all classes."""
        stay = name == "C4-GN"
        operators = {
            path.stem: {node.op_type for node in onnx.load(path).graph.node}
            for path in pair(name).folder.glob("*.onnx")
        }
        assert operators.keys() == {"image", "boxes", "masks", "nms"}
        assert not any("BatchNormalization" in of_graph for of_graph in operators.values())
        for graph in ("image", "boxes", "masks"):
            assert ("InstanceNormalization" in operators[graph]) == stay, graph
        assert ("MatMul" in operators["masks"]) == (not stay), "one class per region is a matrix product"

    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("size", [(64, 96), (96, 64), (33, 71), (70, 35), (64, 64)])
    def test_images_of_any_size(self, name: str, size: tuple[int, int]) -> None:
        both = pair(name)
        image = torch.from_numpy(to_network(scene(0, (128, 160)), size))
        with torch.no_grad():
            expected = ImageGraph(both.model)(image)
        found = both.onnx._image.run(None, {"image": image.numpy()})
        for name, ours, theirs in zip(both.onnx._outputs, found, expected, strict=True):
            assert_close(ours, theirs.numpy(), name)

    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("count", [1, 2, 60])
    def test_any_number_of_boxes(self, name: str, count: int) -> None:
        both, model = pair(name), pair(name).model
        random = np.random.default_rng(count)
        image = torch.from_numpy(to_network(scene(1, (128, 160)), (50, 90)))
        low = random.uniform(0, (60, 30), (count, 2))
        boxes = np.hstack([low, low + random.uniform(1, (30, 20), (count, 2))]).astype(np.float32)
        classes = random.integers(0, len(LABELS), count)
        with torch.no_grad():
            features = model.backbone(model.normalise([image]))
            outputs = model.box_outputs(features, [torch.from_numpy(boxes)])
            masks = model.mask_logits(features, [torch.from_numpy(boxes)]).sigmoid()
        inputs = {level.name: features[level.name].numpy() for level in model.backbone.roi_levels}
        scores, better, vectors = both.onnx._boxes.run(None, {**inputs, "boxes": boxes})
        read = model.roi_heads.box_predictor(torch.from_numpy(vectors))
        assert_close(scores, read.logits.softmax(1)[:, :-1].detach().numpy(), "scores of the vectors")
        assert_close(scores, outputs.logits.softmax(1)[:, :-1].numpy(), "scores")
        assert better.shape == (count, 4 * len(LABELS)) and np.isfinite(better).all()
        found = both.onnx._mask_probabilities(inputs, boxes, classes)
        assert_close(found, masks[torch.arange(count), torch.from_numpy(classes)].numpy(), "masks")

    @given(
        count=st.integers(1, 120),
        groups=st.integers(1, 6),
        limit=st.floats(0.1, 0.9),
        most=st.integers(1, 40),
        seed=st.integers(0, 10_000),
    )
    @settings(max_examples=100)
    def test_suppression_is_torchvisions(
        self, count: int, groups: int, limit: float, most: int, seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        low = random.uniform(0, 60, (count, 2))
        boxes = np.hstack([low, low + random.uniform(1, 40, (count, 2))]).astype(np.float32)
        scores = random.permutation(count).astype(np.float32) / count - 0.5
        group_of = random.integers(0, groups, count)
        expected = batched_nms(*(torch.from_numpy(array) for array in (boxes, scores, group_of)), limit)
        found = pair("C4").onnx._suppress(boxes, scores, group_of, limit, most)
        assert found.tolist() == expected[:most].tolist()


class TestFolding:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_same_result_with_fewer_layers(self, name: str) -> None:
        model = NETWORKS[name]()
        before = sum(map(is_fixed, model.modules()))
        lighter = folded(model)
        assert sum(map(is_fixed, model.modules())) == before, "the model itself has changed"
        assert (before == 0) == (name == "C4-GN")
        assert not any(map(is_fixed, lighter.modules()))
        image = torch.from_numpy(to_network(scene(2, (128, 160)), (64, 85)))
        with torch.no_grad():
            [found], [expected] = lighter([image]), model([image])
        assert len(expected.boxes) > 0
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs.numpy(), name)


class TestMaskHead:
    @pytest.mark.parametrize("name", ["C4", "FPN-FrozenBN"])
    def test_one_class_is_what_all_classes_give(self, name: str) -> None:
        model = folded(NETWORKS[name]())
        head, side = model.roi_heads.mask_head, model.config.mask_pooler_resolution
        assert head is not None and OneClassMaskHead.fits(head)
        torch.manual_seed(0)
        regions = torch.randn(4, model.backbone.channels, side, side)
        with torch.no_grad():
            for label in range(len(LABELS)):
                classes = torch.full((4,), label)
                expected = AllClassesMaskHead(head)(regions, classes)
                assert expected.shape == (4, 2 * side, 2 * side)
                assert_close(OneClassMaskHead(head)(regions, classes), expected.numpy(), LABELS[label])

    def test_it_fits_only_where_the_end_is_linear(self) -> None:
        for name in ("C4", "C4-GN"):
            head = NETWORKS[name]().roi_heads.mask_head
            assert head is not None and not OneClassMaskHead.fits(head)
        head = folded(NETWORKS["C4-GN"]()).roi_heads.mask_head
        assert head is not None and not OneClassMaskHead.fits(head)
