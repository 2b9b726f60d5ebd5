"""Small pictures of tasks and findings, as the browser asks for them: few at a time, and kept by the browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING

from cachetools import LRUCache
from flask import Flask, Response, abort
from PIL import Image

from prelabel.console.context import Context
from prelabel.console.parts import ROOT
from prelabel.console.pictures import jpeg
from prelabel.errors import FORESEEN
from prelabel.ids import LARGEST_ID

if TYPE_CHECKING:
    from fbnetv3.arrays import Array

AT_ONCE = 2
"""Decoding a photo takes a core for a tenth of a second, and predictions want them, too."""

PATIENCE_SECONDS = 1.0
SIZE = (480, 320)
QUALITY = 80
MOST_KEPT = 300
"""About 30 kB each."""

KEPT_SECONDS = 600
"""By the browser."""


def register_thumbnails(server: Flask, context: Context) -> None:
    """The routes of both kinds of pictures. One whose turn does not come at once is a 503: the page asks again."""
    turns = threading.BoundedSemaphore(AT_ONCE)
    kept: LRUCache[Hashable, bytes] = LRUCache(MOST_KEPT)
    lock = threading.Lock()

    def answer(key: Hashable, make: Callable[[], Mapping[Hashable, bytes]]) -> Response:
        with lock:
            picture = kept.get(key)
        if picture is None:
            if not turns.acquire(timeout=PATIENCE_SECONDS):
                abort(503)
            try:
                made = make()
            except (*FORESEEN, LookupError):
                abort(404)
            finally:
                turns.release()
            with lock:
                kept.update(made)
            picture = made[key]
        headers = {"Cache-Control": f"private, max-age={KEPT_SECONDS}"}
        return Response(picture, mimetype="image/jpeg", headers=headers)

    @server.get(f"{ROOT}/pictures/tasks/<int:task_id>.jpg")
    def task(task_id: int) -> Response:
        if not 0 < task_id <= LARGEST_ID:
            abort(404)
        return answer(
            task_id, lambda: {task_id: jpeg(Image.fromarray(task_pixels(context, task_id)), SIZE, QUALITY)}
        )

    @server.get(f"{ROOT}/pictures/findings/<int:project_id>/<finding_id>-<int:which>.jpg")
    def of_finding(project_id: int, finding_id: str, which: int) -> Response:
        if which not in (0, 1) or not 0 < project_id <= LARGEST_ID:
            abort(404)

        def both() -> dict[Hashable, bytes]:
            pair = _finding_pictures(context, project_id, finding_id)
            return {(project_id, finding_id, place): picture for place, picture in enumerate(pair)}

        return answer((project_id, finding_id, which), both)


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


def _finding_pictures(context: Context, project_id: int, finding_id: str) -> tuple[bytes, bytes]:
    """As labelled, and as it should be."""
    from fbnetv3.instances import Instances
    from prelabel.review.decisions import StoreMemory
    from prelabel.review.pictures import picture_pair

    finding = StoreMemory(context.database, project_id).recall()[finding_id].finding
    if finding.image_ref.task is None:
        raise LookupError
    pixels = task_pixels(context, finding.image_ref.task, finding.image_ref.image_key)
    nothing = Instances.empty(pixels.shape[:2], ())
    return picture_pair(finding, pixels, nothing, nothing)
