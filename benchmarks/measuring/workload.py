"""What Label Studio would send: tasks with pictures, labelling configs, webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from xml.sax.saxutils import quoteattr

from PIL import Image

from fbnetv3.engines.exports import obtain
from fbnetv3.scenes import generate_scene

BOXES, POLYGONS, BRUSH = KINDS = ("RectangleLabels", "PolygonLabels", "BrushLabels")
PICTURES = 50
SCENE = (480, 640)
#: Training draws from the first million.
FIRST_SCENE = 4_000_000
#: Widths of pictures of the same shape as the scenes; webhooks carry payloads of some kilobytes.
WIDTHS = (160, 320, 500, 640, 800, 1024, 1280, 1600, 2048, 2592)
WEBHOOK_BYTES = 3000


@dataclass(frozen=True)
class Workload:
    """Pictures at `urls`, and the labels that the model knows."""

    urls: Sequence[str]
    labels: tuple[str, ...]

    def config(self, kind: str) -> str:
        """A labelling config with one tag of this kind."""
        labels = "".join(f"<Label value={quoteattr(label)}/>" for label in self.labels)
        return f'<View><Image name="image" value="$image"/><{kind} name="label" toName="image">{labels}</{kind}></View>'

    def bodies(self, kind: str, tasks: int, requests: int) -> list[bytes]:
        """`tasks` tasks, in turn of the pictures, shared between so many /predict requests."""
        everything = [
            {"id": number, "data": {"image": url}}
            for number, url in enumerate(islice(cycle(self.urls), tasks))
        ]
        return [
            json.dumps(
                {"tasks": everything[start::requests], "project": "1.1", "label_config": self.config(kind)}
            ).encode()
            for start in range(requests)
        ]


def known_labels(weights: str) -> tuple[str, ...]:
    """The labels of these weights, exported first if need be. Ends the program where only PyTorch can run them."""
    _, manifest = obtain(weights, {})
    if manifest.refusal:
        raise SystemExit(f"ONNX Runtime cannot run {weights}: {manifest.refusal}")
    return manifest.labels


def webhooks(count: int) -> list[bytes]:
    """Different deliveries of an annotation."""
    return [
        json.dumps(
            {
                "action": "ANNOTATION_CREATED",
                "project": {"id": 1},
                "annotation": {"id": number, "result": "x" * WEBHOOK_BYTES},
            }
        ).encode()
        for number in range(count)
    ]


def write_pictures(folder: Path, widths: Iterable[int] = (SCENE[1],)) -> list[str]:
    """Drawn scenes as JPEG files, of these widths in turn; their names."""
    names = []
    for number, width in enumerate(islice(cycle(widths), PICTURES)):
        image = Image.fromarray(generate_scene(FIRST_SCENE + number, SCENE).image)
        names.append(f"{number}.jpg")
        image.resize((width, width * SCENE[0] // SCENE[1])).save(folder / names[-1], quality=90)
    return names
