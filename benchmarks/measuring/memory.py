"""Resident memory of the server over many requests with pictures of many sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from measuring.processes import RunningServer, prelabel, web_server
from measuring.sheets import Sheet
from measuring.traffic import load
from measuring.workload import BRUSH, POLYGONS, WIDTHS, Workload, known_labels, write_pictures

CLIENTS = 4
SAMPLES = 12
PREDICT = "/predict"


def measure(folder: Path, weights: str, threads: int | None, requests: int) -> Iterator[Sheet]:
    """The memory after every so many requests of one task, and its slope over the last two thirds."""
    labels = known_labels(weights)
    pictures = folder / "pictures"
    pictures.mkdir()
    names = write_pictures(pictures, WIDTHS)
    with web_server(pictures) as address, prelabel(folder / "home", weights, threads) as server:
        workload = Workload([f"{address}/{name}" for name in names], labels)
        samples = list(_samples(server, workload, requests))
    memory = Sheet(
        f"Memory, {CLIENTS} clients, pictures {min(WIDTHS)} to {max(WIDTHS)} px wide",
        ("requests", "resident, MB"),
    )
    for sample in samples:
        memory.add(*sample)
    yield memory
    yield _slope(samples)


def _samples(server: RunningServer, workload: Workload, requests: int) -> Iterator[tuple[int, float]]:
    """(requests answered, megabytes), polygons and brush strokes by halves."""
    yield 0, server.resident_mb()
    polygons, strokes = (workload.bodies(kind, requests // 2, requests // 2) for kind in (POLYGONS, BRUSH))
    bodies = [body for pair in zip(polygons, strokes, strict=True) for body in pair]
    step = max(len(bodies) // SAMPLES, 1)
    for start in range(0, len(bodies), step):
        portion = bodies[start : start + step]
        load(server.port, PREDICT, portion, CLIENTS)
        yield start + len(portion), server.resident_mb()


def _slope(samples: list[tuple[int, float]]) -> Sheet:
    counts, megabytes = np.array(samples[len(samples) // 3 :]).T
    slope, _ = np.polyfit(counts, megabytes, 1)
    sheet = Sheet("Memory, the last two thirds", ("", "value"))
    sheet.add("slope, kB per request", 1000 * float(slope))
    sheet.add("least, MB", float(megabytes.min()))
    sheet.add("most, MB", float(megabytes.max()))
    return sheet
