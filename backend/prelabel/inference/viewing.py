"""A task's image as the network sees it, or the reason why not: for predictions, prompts and the queue alike."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.errors import FbnetError
from prelabel.inference.outcomes import Failure
from prelabel.inference.prompt_features import FeaturesKey, PromptFeatures
from prelabel.inference.task_images import ImageRequest, TaskImage, content_digest, decode_image, fetch_image
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

logger = logging.getLogger(__name__)

ENGINE_ERRORS = (RuntimeError, ValueError, FbnetError)
"""The engines raise RuntimeError for all of their own."""

Result = TypeVar("Result")

Reader = Callable[[Sequence[TaskImage], Sequence[ImageFeatures]], Sequence[Result]]
"""Makes something of the features of each image, in order."""


class Viewer:
    """Views images with one detector. Safe to share between threads.

    An image of more than `max_pixels` pixels is not decoded. `prompt_features`: where to keep features for prompts.
    """

    def __init__(
        self, detector: Detector, fetcher: ImageFetcher, max_pixels: int, prompt_features: PromptFeatures
    ) -> None:
        self._detector = detector
        self._fetcher = fetcher
        self._max_pixels = max_pixels
        self._prompt_features = prompt_features

    def read(self, request: ImageRequest) -> TaskImage:
        """Fetch and decode an image; whatever is wrong with it becomes its failure."""
        content = self.fetch(request)
        if isinstance(content, Failure):
            return TaskImage(request, content)
        return self._decode(request, content, content_digest(content))

    def fetch(self, request: ImageRequest) -> bytes | Failure:
        """The bytes of the image's file."""
        return fetch_image(request, self._fetcher)

    def view(self, images: Sequence[TaskImage], read: Reader[Result]) -> list[Result | Failure]:
        """What `read` makes of each image's features, in order, or the failure of the image.

        The images go through the network together; where that or `read` fails, each is tried alone, so that one of
        them costs the others nothing.
        """
        readable = [image for image in images if not isinstance(image.pixels, Failure)]
        results = iter(self._view_readable(readable, read))
        return [image.pixels if isinstance(image.pixels, Failure) else next(results) for image in images]

    def features(self, request: ImageRequest, content: bytes, digest: str) -> ImageFeatures | Failure:
        """The features of an image file with this digest: those that are kept for prompts, else new ones, which are
        kept then.
        """
        kept = self.kept(digest)
        if kept is not None:
            return kept
        image = self._decode(request, content, digest)
        [features] = self.view([image], lambda _, features: features)
        if not isinstance(features, Failure):
            self.keep(image, features)
        return features

    def kept(self, digest: str) -> ImageFeatures | None:
        """The features that are kept of the image file with this digest; None where there are none."""
        return self._prompt_features.get(FeaturesKey(digest, self._detector.version))

    def keep(self, image: TaskImage, features: ImageFeatures) -> None:
        """Keep the features of an image for prompts on it."""
        self._prompt_features.keep(FeaturesKey(image.digest, self._detector.version), features)

    def _decode(self, request: ImageRequest, content: bytes, digest: str) -> TaskImage:
        return TaskImage(request, decode_image(request, content, self._max_pixels), digest)

    def _view_readable(self, images: Sequence[TaskImage], read: Reader[Result]) -> Sequence[Result | Failure]:
        if not images:
            return []
        pixels = [image.pixels for image in images if not isinstance(image.pixels, Failure)]
        try:
            return read(images, self._detector.set_images(pixels))
        except ENGINE_ERRORS as error:
            if len(images) > 1:
                return [self._view_readable([image], read)[0] for image in images]
            return [_network_failure(error, pixels[0].shape[:2])]


def ask(features: ImageFeatures, question: Callable[[], Result]) -> Result | Failure:
    """What the network answers to a question about these features; its failure where it raises an error."""
    try:
        return question()
    except ENGINE_ERRORS as error:
        return _network_failure(error, features.image_size)


def _network_failure(error: Exception, image_size: tuple[int, ...]) -> Failure:
    height, width = image_size
    logger.error("the network failed on an image of %d x %d", width, height, exc_info=error)
    return Failure("model", f"the network failed: {type(error).__name__}")
