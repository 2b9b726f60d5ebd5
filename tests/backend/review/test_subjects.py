"""Where a project's labels come from, down to the regions; and where findings about them point."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from default_limits import fetch_limits
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image
from stand_in import Answer, StandIn, stand_in

from fbnetv3.data.snapshot import SnapshotError
from fbnetv3.review import LabelIssue
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.review.findings import ImageRef
from prelabel.review.review import described
from prelabel.review.subjects import Subjects, project_subjects

PROJECT = 7
SIZE = (40, 60)
LABELS = '<Label value="disc"/><Label value="box"/>'
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    f'<RectangleLabels name="rect" toName="image">{LABELS}</RectangleLabels>'
    f'<BrushLabels name="brush" toName="image">{LABELS}</BrushLabels></View>'
)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture
def read(server: StandIn, tmp_path: Path) -> Callable[..., Subjects]:
    """The subjects of a project with these tasks."""

    def subjects(*tasks: dict[str, Any], config: str = CONFIG) -> Subjects:
        server.answers(f"/api/projects/{PROJECT}/", Answer({"label_config": config}))
        server.answers(f"/api/projects/{PROJECT}/export", Answer(list(tasks)))
        client = LabelStudioClient(server.url, "legacy-token")
        fetcher = ImageFetcher(client, fetch_limits(total_timeout=5), tmp_path / "cache")
        return project_subjects(client, fetcher, read_project(client, PROJECT), tmp_path, 10_000)

    return subjects


def task(number: int, *result: dict[str, Any], seed: int | None = None) -> dict[str, Any]:
    pixels = (
        np.random.default_rng(number if seed is None else seed).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    )
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    image = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    annotation = {"id": 100 + number, "was_cancelled": False, "result": list(result)}
    return {"id": number, "data": {"image": image}, "annotations": [annotation]}


def box(name: str, x: float, label: str = "disc") -> dict[str, Any]:
    value = {"x": x, "y": 25, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    return {"id": name, "from_name": "rect", "to_name": "image", "type": "rectanglelabels", "value": value}


def stroke(name: str) -> dict[str, Any]:
    """What `box(..., 10)` frames."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 6:36] = 255
    value = {"format": "rle", "rle": mask2rle(mask), "brushlabels": ["disc"]}
    return {"id": name, "from_name": "brush", "to_name": "image", "type": "brushlabels", "value": value}


def test_an_object_is_named_by_all_its_regions(read: Callable[..., Subjects]) -> None:
    subjects = read(task(1, box("a", 10), stroke("b"), box("c", 45, "box")), task(2))
    assert [(one.task, one.image_key) for one in subjects.image_refs] == [(1, "image"), (2, "image")]
    first, second = subjects.objects(0)
    assert (subjects.regions(first), subjects.label(first)) == (("b", "a"), "disc")
    assert (subjects.regions(second), subjects.label(second)) == (("c",), "box")
    assert subjects.objects(1) == [] and subjects.used_labels == {"disc", "box"}

    finding = described(subjects, LabelIssue("swapped_label", 0.9, 0, (1,), "disc"))
    assert finding.image_ref == ImageRef(subjects.image_refs[0].file, 1, "image")
    assert (finding.made_in, finding.regions, finding.labels) == (101, ("c",), ("box",))
    assert (finding.boxes, finding.correction) == (((27.0, 10.0, 57.0, 30.0),), "box -> disc")


def test_another_mask_is_another_label(read: Callable[..., Subjects]) -> None:
    [plain], [masked] = (
        read(task(1, *some)).digests(0) for some in ([box("a", 10)], [box("a", 10), stroke("b")])
    )
    assert plain != masked


def test_of_an_image_in_two_tasks_both_are_reviewed(read: Callable[..., Subjects]) -> None:
    subjects = read(task(1, box("a", 10), seed=1), task(5, box("b", 10), seed=1), task(2, box("c", 10)))
    assert [one.task for one in subjects.image_refs] == [1, 2, 5]
    assert subjects.held_out == [0, 2], "5 is held out, and 1 shows the same"


@pytest.mark.parametrize(
    ("tasks", "config", "says"),
    [([], CONFIG, "has no accepted labels to review"), ([], "<View/>", "has no labels for boxes")],
)
def test_a_project_without_anything_to_review(
    tasks: list[Any], config: str, says: str, read: Callable[..., Subjects]
) -> None:
    with pytest.raises(SnapshotError, match=says):
        read(*tasks, config=config)
