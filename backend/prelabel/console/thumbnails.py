"""Small pictures of tasks and findings, as the browser asks for them: few at a time, and kept by the browser."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from flask import Flask, Response, abort
from PIL import Image

from prelabel.console.context import Context
from prelabel.console.parts import ROOT
from prelabel.errors import FORESEEN
from prelabel.ids import LARGEST_ID

if TYPE_CHECKING:
    from fbnetv3.arrays import Array

AT_ONCE = 2
"""Decoding a photo takes a core for a tenth of a second, and predictions want them, too."""

PATIENCE_SECONDS = 20.0
SIZE = (480, 320)
QUALITY = 80
MOST_KEPT = 300
"""About 30 kB each."""

KEPT_SECONDS = 600
"""By the browser."""


def register_thumbnails(server: Flask, context: Context) -> None:
    """The routes of both kinds of pictures."""
    turns = threading.BoundedSemaphore(AT_ONCE)
    task_picture = lru_cache(maxsize=MOST_KEPT)(lambda task_id: thumbnail(task_pixels(context, task_id)))
    finding = lru_cache(maxsize=MOST_KEPT)(lambda *of: _finding_picture(context, *of))

    def answer(make: Callable[[], bytes]) -> Response:
        if not turns.acquire(timeout=PATIENCE_SECONDS):
            abort(503)
        try:
            return Response(
                make(),
                mimetype="image/jpeg",
                headers={"Cache-Control": f"private, max-age={KEPT_SECONDS}"},
            )
        except (*FORESEEN, LookupError):
            abort(404)
        finally:
            turns.release()

    @server.get(f"{ROOT}/pictures/tasks/<int:task_id>.jpg")
    def task(task_id: int) -> Response:
        if not 0 < task_id <= LARGEST_ID:
            abort(404)
        return answer(lambda: task_picture(task_id))

    @server.get(f"{ROOT}/pictures/findings/<int:project_id>/<finding_id>-<int:which>.jpg")
    def of_finding(project_id: int, finding_id: str, which: int) -> Response:
        if which not in (0, 1) or not 0 < project_id <= LARGEST_ID:
            abort(404)
        return answer(lambda: finding(project_id, finding_id, which))


def task_pixels(context: Context, task_id: int, image_key: str | None = None) -> Array:
    """The image of a task of Label Studio, the first that it has unless a key is named. Raises LookupError, and what
    asking and fetching raise."""
    from fbnetv3.images import read_image
    from prelabel.labelstudio.config.image_values import image_value
    from prelabel.labelstudio.config.label_spec import LabelSpec
    from prelabel.labelstudio.config.project import read_project
    from prelabel.labelstudio.config.repeaters import expand
    from prelabel.versions.loading import build_fetcher

    task = context.client.task(task_id)
    project = read_project(context.client, task["project"])
    config = expand(project.label_config, task["data"]).xml
    threshold = context.settings.model_score_threshold
    key = image_key or LabelSpec.from_config(config, (), threshold).image_keys[0]
    file = build_fetcher(context.settings).fetch(image_value(task["data"], key), task_id)
    return read_image(file, context.settings.prelabel_max_image_pixels)


def thumbnail(pixels: Array) -> bytes:
    """A JPEG of at most SIZE."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(SIZE)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _finding_picture(context: Context, project_id: int, finding_id: str, which: int) -> bytes:
    """As labelled (0), as it should be (1)."""
    from fbnetv3.instances import Instances
    from prelabel.review.decisions import StoreMemory
    from prelabel.review.pictures import picture_pair

    finding = StoreMemory(context.database, project_id).recall()[finding_id].finding
    if finding.image_ref.task is None:
        raise LookupError
    pixels = task_pixels(context, finding.image_ref.task, finding.image_ref.image_key)
    nothing = Instances.empty(pixels.shape[:2], ())
    return picture_pair(finding, pixels, nothing, nothing)[which]
