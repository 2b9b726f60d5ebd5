"""One class holds every hyper-parameter, documented, bounded, and clear about what is wrong."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from fbnetv3 import ConfigError, ModelConfig, create_model, list_models
from fbnetv3.architectures import ARCHITECTURES
from fbnetv3.config import Norm

C4 = "mask_rcnn_fbnetv3a_dsmask_C4"
FPN = "mask_rcnn_fbnetv3g_fpn"

#: Values that each field must refuse; a field without an entry fails a test.
REFUSED: dict[str, tuple[Any, ...]] = {
    "num_classes": (0, -1, 2.5, "many"),
    "initial_weights": (7,),
    "norm": ("bn", "LayerNorm", None),
    "frozen_stages": (-1, 6),
    "min_size": (31, 4097, None),
    "max_size": (31, 8193),
    "anchor_sizes": ((), ((),), ((0,),), ((-32,),), 32),
    "anchor_ratios": ((), (0.0,), (-1.0,)),
    "rpn_iou_lower": (-0.1, 1.1),
    "rpn_iou_upper": (-0.1, 1.1),
    "rpn_batch_per_image": (0,),
    "rpn_positive_fraction": (0.0, 1.1),
    "rpn_nms_threshold": (-0.1, 1.1),
    "pre_nms_proposals_train": (0,),
    "pre_nms_proposals_test": (0,),
    "post_nms_proposals_train": (0,),
    "post_nms_proposals_test": (0,),
    "box_pooler_resolution": (1, 29),
    # An odd side does not survive the halving and doubling twice of the C4 networks' mask head.
    "mask_pooler_resolution": (3, 57, 15),
    "roi_iou_lower": (-0.1, 1.1),
    "roi_iou_upper": (-0.1, 1.1),
    "roi_batch_per_image": (0,),
    "roi_positive_fraction": (0.0, 1.1),
    "mask_batch_per_image": (0,),
    "score_threshold": (-0.1, 1.1, float("nan")),
    "nms_threshold": (-0.1, 1.1),
    "detections_per_image": (0,),
    "mask_threshold": (0.0, 1.0),
}
CASES = [(name, value) for name, values in REFUSED.items() for value in values]


def refusal(name: str = C4, **settings: Any) -> str:
    """What a ConfigError says, after a check that it is one sentence for people."""
    with pytest.raises(ConfigError) as caught:
        ModelConfig.for_model(name, **settings)
    text = str(caught.value)
    assert text and "\n" not in text and "pydantic" not in text
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return text


def test_every_setting_has_a_default_and_says_what_it_is() -> None:
    for name, field in ModelConfig.model_fields.items():
        assert not field.is_required(), name
        assert field.description and len(field.description.split()) >= 4, name
        assert field.description.endswith("."), name


def test_every_setting_has_its_bad_values_here() -> None:
    assert REFUSED.keys() == ModelConfig.model_fields.keys()


@pytest.mark.parametrize(("name", "value"), CASES, ids=lambda value: str(value))
def test_a_bad_value_is_refused_and_the_setting_named(name: str, value: Any) -> None:
    assert name in refusal(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_classes", 1),
        ("frozen_stages", 4),
        ("min_size", 32),
        ("max_size", 8192),
        ("anchor_sizes", ((8, 16.5),)),
        ("rpn_iou_lower", 0),
        ("rpn_iou_upper", 1),
        ("rpn_positive_fraction", 1),
        ("box_pooler_resolution", 2),
        ("mask_pooler_resolution", 56),
        ("score_threshold", 0),
        ("nms_threshold", 1),
        ("initial_weights", "coco"),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(name: str, value: Any) -> None:
    assert getattr(ModelConfig.for_model(C4, **{name: value}), name) == value


@pytest.mark.parametrize("norm", get_args(Norm))
def test_every_norm_is_allowed(norm: Norm) -> None:
    assert ModelConfig.for_model(C4, norm=norm).norm == norm


def test_an_unknown_setting_is_named() -> None:
    assert refusal(mask_poler_resolution=14) == "there is no setting 'mask_poler_resolution'"


def test_all_mistakes_are_named_at_once() -> None:
    text = refusal(norm="LN", num_classes=0, nothing=1)
    assert "norm" in text and "num_classes" in text and "nothing" in text


def test_an_unknown_model_names_those_there_are() -> None:
    text = refusal("mask_rcnn_resnet50")
    assert "mask_rcnn_resnet50" in text
    for name in list_models():
        assert name in text


@pytest.mark.parametrize(
    "settings",
    [
        {"rpn_iou_lower": 0.8, "rpn_iou_upper": 0.7},
        {"roi_iou_lower": 0.6},
        {"min_size": 500},
    ],
    ids=str,
)
def test_a_lower_bound_above_the_upper_names_both(settings: dict[str, float]) -> None:
    text = refusal(**settings)  # type: ignore[arg-type]
    lower = next(iter(settings))
    upper = lower.replace("lower", "upper").replace("min", "max")
    assert lower in text and upper in text


def test_equal_bounds_are_allowed() -> None:
    config = ModelConfig.for_model(C4, rpn_iou_lower=0.5, rpn_iou_upper=0.5, min_size=320, max_size=320)
    assert config.rpn_iou_lower == config.rpn_iou_upper and config.min_size == config.max_size


def test_a_configuration_does_not_change() -> None:
    config = ModelConfig.for_model(C4)
    with pytest.raises(ValueError, match="frozen"):
        config.min_size = 64


def test_the_defaults_of_the_original() -> None:
    """d2go's *_dsmask_C4.yaml and detectron2's defaults."""
    config = ModelConfig.for_model(C4)
    assert (config.num_classes, config.norm, config.frozen_stages) == (80, "NaiveSyncBN", 0)
    assert config.anchor_sizes == ((32, 64, 96, 128, 160),) and config.anchor_ratios == (0.5, 1.0, 2.0)
    assert (config.rpn_iou_lower, config.rpn_iou_upper) == (0.3, 0.7)
    assert (config.roi_iou_lower, config.roi_iou_upper) == (0.5, 0.5)
    assert (config.rpn_batch_per_image, config.rpn_positive_fraction) == (256, 0.5)
    assert (config.roi_batch_per_image, config.roi_positive_fraction) == (512, 0.25)
    assert config.mask_batch_per_image is None
    assert (config.pre_nms_proposals_train, config.post_nms_proposals_train) == (2000, 2000)
    assert (config.box_pooler_resolution, config.mask_pooler_resolution) == (6, 14)
    assert (config.score_threshold, config.nms_threshold, config.detections_per_image) == (0.05, 0.5, 100)


def test_what_differs_for_the_pyramid() -> None:
    """Mask and Faster R-CNN of one trunk share a configuration; FPN differs in sizes, anchors and proposals."""
    c4 = ModelConfig.for_model(C4)
    for name in list_models():
        config = ModelConfig.for_model(name)
        changed = {
            field for field in ModelConfig.model_fields if getattr(config, field) != getattr(c4, field)
        }
        pyramid = {"min_size", "max_size", "anchor_sizes", "post_nms_proposals_test"}
        assert changed == (pyramid if name.endswith("fpn") else set()), name
    fpn = ModelConfig.for_model(FPN)
    assert (fpn.min_size, fpn.max_size, fpn.post_nms_proposals_test) == (800, 1333, 1000)
    assert fpn.anchor_sizes == ((32,), (64,), (128,), (256,), (512,))


def test_settings_win_over_the_zoo() -> None:
    config = ModelConfig.for_model(FPN, min_size=320, max_size=480)
    assert (config.min_size, config.max_size, config.post_nms_proposals_test) == (320, 480, 1000)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_no_more_frozen_stages_than_the_trunk_has(name: str) -> None:
    stages = len(ARCHITECTURES[name].trunk)
    assert ModelConfig.for_model(name, frozen_stages=stages).frozen_stages == stages
    text = refusal(name, frozen_stages=stages + 1)
    assert "frozen_stages" in text and str(stages) in text


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        pytest.param(C4, ((32,), (64,)), id="two levels for C4"),
        pytest.param(FPN, ((32, 64),), id="one level for FPN"),
        pytest.param(FPN, ((32,), (64,), (128,), (256,), (512, 640)), id="unequal levels"),
    ],
)
def test_anchors_that_do_not_fit_the_network(name: str, sizes: tuple[tuple[float, ...], ...]) -> None:
    """`create_model` promises a ConfigError for a wrong setting."""
    with pytest.raises(ConfigError, match="anchor_sizes"):
        create_model(name, anchor_sizes=sizes)
