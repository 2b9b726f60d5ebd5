"""What Prometheus is told: a registry per app, so that two apps in one process do not share their counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from flask import Flask, Response, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from prelabel.inference.outcomes import TaskOutcome

PREDICT_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Seconds: from one small image to the 100 s after which Label Studio gives a request up."""

PROMPT_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Seconds: from a box on an image that is known to a click on a large one that must be fetched."""


class Metrics:
    """The figures of one app."""

    def __init__(self, model_ready: Callable[[], bool], image_cache: Path) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self._requests = counter("prelabel_requests", "Requests answered.", ("method", "route", "status"))
        self._tasks = counter("prelabel_tasks", "Tasks predicted.")
        self._failures = counter("prelabel_task_failures", "Images or regions that failed.", ("reason",))
        self._regions = counter("prelabel_regions", "Regions predicted.")
        self.predict_seconds = Histogram(
            "prelabel_predict_seconds",
            "Time of one /predict request.",
            buckets=PREDICT_BUCKETS,
            registry=self.registry,
        )
        self.prompt_seconds = Histogram(
            "prelabel_prompt_seconds",
            "Time of one smart tool's request.",
            buckets=PROMPT_BUCKETS,
            registry=self.registry,
        )
        ready = gauge("prelabel_model_ready", "1 when the model can predict, else 0.")
        ready.set_function(lambda: float(model_ready()))
        cache = gauge("prelabel_image_cache_bytes", "Size of the fetched images kept on disk.")
        cache.set_function(lambda: _folder_bytes(image_cache))
        ProcessCollector(registry=self.registry)

    def watch(self, app: Flask) -> None:
        """Count every answer of `app`."""
        app.after_request(self._count_request)

    def count_outcomes(self, outcomes: Sequence[TaskOutcome]) -> None:
        """Count what one /predict request came to."""
        self._tasks.inc(len(outcomes))
        for outcome in outcomes:
            self._regions.inc(len(outcome.prediction["result"]))
            for failure in outcome.failures:
                self._failures.labels(failure.kind).inc()

    def exposition(self) -> Response:
        """All figures in Prometheus' text format."""
        return Response(generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)

    def _count_request(self, response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        self._requests.labels(request.method, route, str(response.status_code)).inc()
        return response


def _folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder that others may write to meanwhile; 0 where there is none."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total
