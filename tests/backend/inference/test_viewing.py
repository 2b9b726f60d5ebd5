"""Viewing images: what one of them does to the network costs the others nothing, and what is kept is not made again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from default_limits import fetch_limits
from serving import ColourDetector, png

from fbnetv3.config import ConfigError
from fbnetv3.detector import ImageFeatures
from prelabel.inference.outcomes import Failure
from prelabel.inference.prompt_features import PromptFeatures
from prelabel.inference.task_images import ImageRequest, TaskImage, content_digest
from prelabel.inference.viewing import Viewer, ask
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

SPEC = LabelSpec.from_config('<View><Image name="image" value="$image"/></View>', ("Disc",), 0.5)
FAILED = Failure("model", "the network failed: RuntimeError")


class OneAtATime(ColourDetector):
    """Has memory for one image, and for none that is blue."""

    def __init__(self) -> None:
        super().__init__()
        self.sets: list[int] = []

    def set_images(self, images: Sequence[np.ndarray]) -> list[ImageFeatures]:
        self.sets.append(len(images))
        if len(images) > 1 or (images[0][0, 0] == (0, 0, 255)).all():
            raise RuntimeError("out of memory")
        return super().set_images(images)


@pytest.fixture
def detector() -> OneAtATime:
    return OneAtATime()


@pytest.fixture
def viewer(detector: OneAtATime, tmp_path: Path) -> Viewer:
    fetcher = ImageFetcher(None, fetch_limits(allow_private=True), tmp_path)
    return Viewer(detector, fetcher, 300 * 200, PromptFeatures(10_000_000))


def request(url: Any = None) -> ImageRequest:
    return ImageRequest(0, 5, "image", url, SPEC)


def image(colour: tuple[int, int, int]) -> TaskImage:
    return TaskImage(request(), np.full((20, 30, 3), colour, np.uint8))


def features_of(viewer: Viewer, content: bytes) -> ImageFeatures | Failure:
    return viewer.features(request(), content, content_digest(content))


def reds(_: Sequence[TaskImage], features: Sequence[ImageFeatures]) -> list[int]:
    return [int(one.pixels[0, 0, 0]) for one in features]


def test_where_images_fail_together_each_is_tried_alone(
    viewer: Viewer, detector: OneAtATime, caplog: pytest.LogCaptureFixture
) -> None:
    broken = TaskImage(request(), Failure("decode", "it is no image"))
    images = [image((7, 0, 0)), broken, image((0, 0, 255)), image((9, 0, 0))]
    assert viewer.view(images, reds) == [7, broken.pixels, FAILED, 9]
    assert detector.sets == [3, 1, 1, 1]
    assert caplog.messages == ["the network failed on an image of 30 x 20"]


def test_an_image_of_which_nothing_can_be_read_is_a_failure_of_its_own(viewer: Viewer) -> None:
    def read(images: Sequence[TaskImage], features: Sequence[ImageFeatures]) -> list[int]:
        if any(one.pixels[0, 0, 0] == 9 for one in features):
            raise RuntimeError
        return reds(images, features)

    assert viewer.view([image((7, 0, 0)), image((9, 0, 0))], read) == [7, FAILED]
    assert viewer.view([], read) == []


def test_what_cannot_be_fetched_or_decoded_is_the_images_failure(viewer: Viewer, host: str) -> None:
    kinds = [
        viewer.read(request(f"http://{host}/{name}")).pixels.kind for name in ("missing.png", "broken.png")
    ]
    assert kinds == ["fetch", "decode"]
    read = viewer.read(request(f"http://{host}/img3.png"))
    assert read.pixels.shape == (200, 300, 3)
    assert read.digest == content_digest(png((15, 0, 0)))


def test_features_of_a_file_are_made_once(viewer: Viewer, detector: OneAtATime) -> None:
    content = png((15, 0, 0))
    first = features_of(viewer, content)
    assert viewer.kept(content_digest(content)) is first
    assert features_of(viewer, content) is first
    assert detector.sets == [1]


def test_a_file_that_fails_is_not_kept(viewer: Viewer, detector: OneAtATime) -> None:
    content = png((0, 0, 255))
    assert features_of(viewer, content) == FAILED == features_of(viewer, content)
    assert viewer.kept(content_digest(content)) is None
    assert detector.sets == [1, 1]


def test_features_of_another_version_are_not_taken(viewer: Viewer, detector: OneAtATime) -> None:
    content = png((15, 0, 0))
    features_of(viewer, content)
    detector.version = "colour-2"
    assert viewer.kept(content_digest(content)) is None


def test_a_question_that_the_network_fails_on_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    [features] = ColourDetector().set_images([np.zeros((20, 30, 3), np.uint8)])

    def question() -> int:
        raise RuntimeError("out of memory")

    with caplog.at_level(logging.ERROR):
        assert (ask(features, question), ask(features, lambda: 3)) == (FAILED, 3)
    assert caplog.messages == ["the network failed on an image of 30 x 20"]


def test_an_error_of_our_own_is_a_failure_of_the_network_too(detector: OneAtATime) -> None:
    [features] = detector.set_images([np.zeros((20, 30, 3), np.uint8)])

    def refuse() -> None:
        raise ConfigError("no such layer")

    assert ask(features, refuse) == Failure("model", "the network failed: ConfigError")
