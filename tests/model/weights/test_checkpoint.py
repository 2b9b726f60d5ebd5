"""Checkpoints in memory: digest, labels, with and without a mask head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from weights_samples import MASKS, PREDICTOR, STEM, small_checkpoint

from fbnetv3.weights import WeightsError


def test_digest_follows_tensors_and_labels_only():
    checkpoint = small_checkpoint()
    same = replace(checkpoint, state=dict(reversed(checkpoint.state.items())), provenance={}, settings={})
    changed = {name: tensor.clone() for name, tensor in checkpoint.state.items()}
    changed[f"{PREDICTOR}.cls_score.weight"][0, 0] += 1

    assert len(checkpoint.digest) == 12
    assert same.digest == checkpoint.digest
    assert replace(checkpoint, state=changed).digest != checkpoint.digest
    assert checkpoint.with_labels(["bolt", "gear", "nut"]).digest != checkpoint.digest


def test_digest_leaves_out_the_counters():
    checkpoint = small_checkpoint()
    counted = checkpoint.state | {f"{STEM}.bn.num_batches_tracked": torch.tensor(8)}
    assert replace(checkpoint, state=counted).digest == checkpoint.digest


def test_parameter_count_leaves_out_statistics():
    assert small_checkpoint().parameter_count == 16 * 3 * 3 * 3 + 4 * 160


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [(["a", "b"], "3 classes, but 2 labels"), (["a", "b", "a"], "distinct"), (["a", "b", " "], "not empty")],
)
def test_wrong_labels_are_refused(labels: list[str], complaint: str):
    with pytest.raises(WeightsError, match=complaint):
        small_checkpoint().with_labels(labels)


def test_without_masks_is_the_faster_network():
    faster = small_checkpoint(masks=True).without_masks()
    assert faster.model == "faster_rcnn_fbnetv3a_dsmask_C4"
    assert not faster.has_masks
    assert faster.state.keys() == small_checkpoint().state.keys()


def test_mask_head_joins_the_box_weights():
    head = small_checkpoint(masks=True)
    only_head = replace(head, state={name: t for name, t in head.state.items() if name.startswith(MASKS)})
    joined = small_checkpoint().with_mask_head(only_head)

    assert joined.model == "mask_rcnn_fbnetv3a_dsmask_C4"
    assert joined.has_masks
    assert joined.digest == head.digest
    assert joined.provenance == {"source": "a test", "mask head source": "a test"}


def test_foreign_mask_heads_are_refused():
    boxes, head = small_checkpoint(), small_checkpoint(masks=True)
    with pytest.raises(WeightsError, match="does not fit"):
        boxes.with_mask_head(replace(head, model="mask_rcnn_fbnetv3g_fpn"))
    with pytest.raises(WeightsError, match="does not fit"):
        boxes.with_mask_head(boxes)
    with pytest.raises(WeightsError, match="other labels"):
        boxes.with_mask_head(head.with_labels(["nut", "bolt", "gear"]))
