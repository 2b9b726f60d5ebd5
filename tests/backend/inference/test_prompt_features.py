"""The memory of prompts: within its bytes, and what was used longest ago goes first."""

from __future__ import annotations

import numpy as np
from serving import ColourDetector

from fbnetv3.detector import ImageFeatures
from prelabel.inference.prompt_features import FeaturesKey, PromptFeatures


def key(name: str) -> FeaturesKey:
    return FeaturesKey(name, "colour-1")


def features(side: int = 10) -> ImageFeatures:
    [one] = ColourDetector().set_images([np.zeros((side, side, 3), np.uint8)])
    return one


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = PromptFeatures(3 * features().nbytes)
    for name in "abc":
        kept.keep(key(name), features())
    assert kept.get(key("a")) is not None
    kept.keep(key("d"), features())
    assert [name for name in "abcd" if kept.get(key(name)) is None] == ["b"]


def test_the_same_image_again_takes_no_more_room() -> None:
    kept = PromptFeatures(2 * features().nbytes)
    for name in "abbb":
        kept.keep(key(name), features())
    assert kept.get(key("a")) is not None


def test_what_is_too_large_alone_costs_the_others_nothing() -> None:
    kept = PromptFeatures(features().nbytes)
    kept.keep(key("a"), features())
    kept.keep(key("b"), features(11))
    assert (kept.get(key("a")) is None, kept.get(key("b"))) == (False, None)


def test_without_memory_nothing_is_kept() -> None:
    kept = PromptFeatures(0)
    kept.keep(key("a"), features())
    assert kept.get(key("a")) is None


def test_every_version_has_its_own() -> None:
    kept = PromptFeatures(10 * features().nbytes)
    kept.keep(key("a"), features())
    assert kept.get(FeaturesKey("a", "colour-2")) is None
