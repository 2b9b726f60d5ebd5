"""What the server's tests share: recorded requests, a web server with images, a quick and exact detector."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from flask.testing import FlaskClient
from PIL import Image

from fbnetv3.detector import ImageFeatures, Threshold
from fbnetv3.engines.onnx_engine import OnnxEncoded
from fbnetv3.instances import BoxMask, Instances
from prelabel.inference.predictor import Predictor
from prelabel.server.app import create_app
from prelabel.server.model_holder import ModelHolder
from prelabel.settings import load_settings
from prelabel.store.database import Database

CAPTURES = Path(__file__).parent / "captures"
RECORDED_IMAGE_HOST = "127.0.0.1:28090"

WEBHOOKS = sorted(path.stem for path in CAPTURES.glob("*.json") if path.stem.startswith(("webhook", "train")))

IMAGE_SIZE = (200, 300)
RED_PER_NUMBER = 5
SCORE = 0.8

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="rect" toName="image"><Label value="Disc"/><Label value="Box"/></RectangleLabels>
  <BrushLabels name="brush" toName="image"><Label value="Disc"/></BrushLabels>
</View>"""


def captured(name: str, image_host: str = RECORDED_IMAGE_HOST) -> Any:
    """The JSON body of a recorded request, its images on another host."""
    text = (CAPTURES / f"{name}.json").read_text().replace(RECORDED_IMAGE_HOST, image_host)
    return json.loads(text)["json"]


def _encoded(image: np.ndarray) -> OnnxEncoded:
    """Features that say how red, green and blue an image is."""
    colour = image[:1, :1].transpose(2, 0, 1)[None].astype(np.float32)
    return OnnxEncoded(image.shape[:2], np.zeros((0, 4), np.float32), {"colour": colour})


class ColourEngine:
    """Is the surer that all boxes are Discs the redder the image is."""

    def classify(self, encoded: OnnxEncoded, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n, 3) of the labels, and the boxes."""
        red = encoded.maps["colour"][0, 0, 0] / 255
        return np.tile(np.array([0.5 + red / 2, 0.1, 0.1], np.float32), (len(boxes), 1)), boxes


class ColourDetector:
    """Sees one Disc in every image, as far to the right (in pixels) as the image is red.

    So a prediction tells which image it was made from, whatever batch it came in. It refuses pure blue
    images as torch refuses what does not fit into memory.
    """

    labels = ("Disc", "Box", "Wedge")
    has_masks = True
    version = "colour-1"
    engine = ColourEngine()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def set_images(self, images: Sequence[np.ndarray]) -> list[ImageFeatures]:
        return [ImageFeatures(image, _encoded(image)) for image in images]

    def find(
        self,
        features: Sequence[ImageFeatures],
        score_threshold: Threshold = 0.0,
        mask_threshold: Threshold = 0.0,
    ) -> list[Instances]:
        images = [one.pixels for one in features]
        self.batches.append(len(images))
        if any((image[0, 0] == (0, 0, 255)).all() for image in images):
            raise RuntimeError("out of memory")
        least = score_threshold.get("Disc", np.inf) if isinstance(score_threshold, dict) else score_threshold
        return [self._disc(image).select([0] if least <= SCORE else []) for image in images]

    def mask_in_box(self, features: ImageFeatures, box: np.ndarray, labels: Sequence[str] = ()) -> Instances:
        """The whole box."""
        return self._box(features.pixels, box.round().astype(int), labels)

    def mask_at_points(
        self, features: ImageFeatures, points: np.ndarray, positive: np.ndarray, labels: Sequence[str] = ()
    ) -> Instances:
        """The box around the positive points and 5 pixels more; nothing where a negative one lies in it."""
        box = np.hstack([points[positive].min(0) - 5, points[positive].max(0) + 5]).round().astype(int)
        beside = points[~positive]
        inside = ((beside > box[:2]) & (beside < box[2:])).all(1).any()
        return self._box(features.pixels, box, labels).select([] if inside else [0])

    def _box(self, image: np.ndarray, box: np.ndarray, labels: Sequence[str]) -> Instances:
        x0, y0, x1, y1 = (int(side) for side in box)
        return Instances(
            image.shape[:2],
            box[None].astype(np.float32),
            np.array([SCORE], np.float32),
            np.array([self.labels.index(labels[0]) if labels else 2]),
            self.labels,
            (BoxMask(x0, y0, np.ones((y1 - y0, x1 - x0), bool)),) if self.has_masks else None,
        )

    def _disc(self, image: np.ndarray) -> Instances:
        x = int(image[0, 0, 0])
        return Instances(
            image.shape[:2],
            np.array([[x, 20, x + 30, 60]], np.float32),
            np.array([SCORE], np.float32),
            np.array([0]),
            self.labels,
            (BoxMask(x, 20, np.ones((40, 30), bool)),),
        )


def image_number(prediction: dict[str, Any]) -> int | None:
    """The number of the image that `ColourDetector` saw, None for a prediction without regions."""
    boxes = [region for region in prediction["result"] if region["type"] == "rectanglelabels"]
    return round(boxes[0]["value"]["x"] * IMAGE_SIZE[1] / 100 / RED_PER_NUMBER) if boxes else None


def predictions_of(
    predictor: Predictor, tasks: Sequence[Any], label_config: str, project_id: int | None
) -> Any:
    """One prediction per task, in order."""
    return [outcome.prediction for outcome in predictor.predict(tasks, label_config, project_id)]


def png(colour: tuple[int, int, int]) -> bytes:
    """An image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", IMAGE_SIZE[::-1], colour).save(buffer, "PNG")
    return buffer.getvalue()


class _Images(BaseHTTPRequestHandler):
    """Answers every path with imgN in it: an image that is redder for a greater N."""

    def do_GET(self) -> None:
        body = self._body()
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("ETag", '"first"')
        self.end_headers()
        self.wfile.write(body or b"")

    def _body(self) -> bytes | None:
        number = re.search(r"img(\d+)", self.path)
        if "broken" in self.path:
            return png((9, 9, 9))[:60]
        if "blue" in self.path:
            return png((0, 0, 255))
        return png((int(number[1]) * RED_PER_NUMBER, 0, 0)) if number else None

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the tests' output is no access log."""


class Serving:
    """The app with what it was made of; `client` asks it."""

    def __init__(self, home: Path, database: Database, load: Callable[[], Any], **settings: Any) -> None:
        self.model = ModelHolder(load)
        self.app = create_app(load_settings(prelabel_home=home, **settings), self.model, database)
        self.client = self.app.test_client()
        self.routes = sorted(rule.rule for rule in self.app.url_map.iter_rules())


def predict_request(host: str, *names: str) -> dict[str, Any]:
    """The body of a /predict with these images of the image server."""
    tasks = [{"id": 1 + i, "data": {"image": f"http://{host}/{name}"}} for i, name in enumerate(names)]
    return {
        "tasks": tasks,
        "project": "7.1795218738",
        "label_config": CONFIG,
        "params": {"login": None, "password": None, "context": None},
    }


def health(client: FlaskClient) -> Any:
    """What /health says."""
    return client.get("/health").json


def metric(client: FlaskClient, sample: str) -> float:
    """The value of a sample in the app's /metrics."""
    return metric_value(client.get("/metrics").text, sample)


def metric_value(exposition: str, sample: str) -> float:
    """The value of the first line that starts so in Prometheus' text format; 0 without one."""
    lines = (line for line in exposition.splitlines() if line.startswith(f"{sample} "))
    return float(next(lines, "0").rpartition(" ")[2])


@contextmanager
def image_server() -> Iterator[str]:
    """host:port of a web server with images, in threads of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Images)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """A port that nothing listens on, as the system gives it: tests run in several processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
