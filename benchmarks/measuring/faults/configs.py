"""Odd labelling configs and tasks: one outcome per task with valid regions, or LabelConfigError."""

from __future__ import annotations

import base64
import io
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from fbnetv3.detector import Detector
from fbnetv3.scenes import generate_scene
from measuring.faults.mutation import as_file, odd, odd_xml
from measuring.faults.trials import Broke, Subject, Trial
from prelabel.inference.predictor import Predictor, PredictorOptions
from prelabel.labelstudio.config.object_controls import ObjectControls
from prelabel.labelstudio.errors import LabelConfigError
from prelabel.labelstudio.fetching.fetcher import FetchLimits, ImageFetcher
from prelabel.settings import load_settings

#: Training draws from the first million.
FIRST_SCENE = 6_300_000
SCENE = (128, 160)
#: Of the network's input, px: the smallest at which scenes have objects for it.
MIN_SIZE, MAX_SIZE = 96, 128
#: Below what is used, so that there are regions to be wrong.
THRESHOLD = 0.05
TASKS = 2

LABELS = (
    '<Label value="apple"/><Label value="Cup" predicted_values="mug,bottle"/><Label value="leaf" alias="l"/>'
)
CHOICES = '<Choice value="yes"/><Choice value="no"/>'
#: Each uses other tags and attributes; $image, $second, $photo.url and $pages are in the tasks.
CONFIGS = (
    f"""<View><Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="rect" toName="image" model_score_threshold="0.1" smart="true">{LABELS}</RectangleLabels>
  <PolygonLabels name="poly" toName="image">{LABELS}</PolygonLabels>
  <BrushLabels name="brush" toName="image">{LABELS}</BrushLabels></View>""",
    f"""<View><Image name="one" value="$image"/><Image name="two" value="$second"/>
  <RectangleLabels name="rect" toName="one,two">{LABELS}</RectangleLabels>
  <Choices name="any" toName="two" choice="multiple" required="true">{CHOICES}</Choices>
  <TextArea name="text" toName="one"/></View>""",
    f"""<View><Image name="image" value="$photo.url"/><Labels name="labels" toName="image">{LABELS}</Labels>
  <Rectangle name="r" toName="image"/><Polygon name="p" toName="image"/><Brush name="b" toName="image"/>
  <EllipseLabels name="e" toName="image" model_skip="false">{LABELS}</EllipseLabels>
  <KeyPointLabels name="k" toName="image" smart="true">{LABELS}</KeyPointLabels></View>""",
    f"""<View><Repeater on="$pages" indexFlag="{{{{i}}}}"><Image name="page_{{{{i}}}}" value="$pages[{{{{i}}}}].url"/>
  <RectangleLabels name="rect_{{{{i}}}}" toName="page_{{{{i}}}}">{LABELS}</RectangleLabels></Repeater></View>""",
    f"""<View><Image name="image" valueList="$images"/><Header value="h"/>
  <BitmaskLabels name="mask" toName="image">{LABELS}</BitmaskLabels>
  <View visibleWhen="region-selected">
  <Choices name="c" toName="image" perRegion="true">{CHOICES}</Choices></View></View>""",
)


class Configs(Subject):
    """See the top of this file."""

    def __init__(self, folder: Path) -> None:
        detector = Detector.load("starter", engine="torch", threads=1, min_size=MIN_SIZE, max_size=MAX_SIZE)
        settings = load_settings(model_score_threshold=THRESHOLD)
        fetcher = ImageFetcher(None, FetchLimits.of(settings), folder / "images")
        self._predictor = Predictor(detector, fetcher, PredictorOptions.of(settings))
        self._tasks = [_task(number) for number in range(TASKS)]

    def trial(self, number: int, dice: random.Random) -> Trial:
        """An odd config, odd tasks, or both."""
        config, tasks = dice.choice(CONFIGS), self._tasks
        what = dice.choice(("config", "config", "tasks", "both"))
        if what != "tasks":
            config = odd_xml(dice, config)
        if what != "config":
            changed = odd(dice, tasks)
            tasks = changed if isinstance(changed, list) else tasks
        files = {"config.xml": config.encode(errors="replace"), "tasks.json": as_file(tasks)}
        return Trial(what, files, lambda: self._attempt(config, tasks))

    def _attempt(self, config: str, tasks: list[Any]) -> str:
        try:
            ObjectControls.from_config(config)
            self._predictor.capabilities.describe(self._predictor.label_spec(config))
            outcomes = self._predictor.predict(tasks, config, 1)
        except LabelConfigError as error:
            if not str(error) or "\n" in str(error):
                raise Broke(f"not one sentence: {str(error)!r}") from None
            return "refused"
        if len(outcomes) != len(tasks):
            raise Broke(f"{len(outcomes)} outcomes of {len(tasks)} tasks")
        for outcome in outcomes:
            json.dumps(outcome.prediction, allow_nan=False)
            _check(outcome.prediction)
        if any(outcome.failures for outcome in outcomes):
            return "some failed"
        return "regions" if any(outcome.prediction["result"] for outcome in outcomes) else "no regions"


def _check(prediction: Mapping[str, Any]) -> None:
    if not 0 <= prediction["score"] <= 1:
        raise Broke(f"the score {prediction['score']}")
    for region in prediction["result"]:
        if not region["from_name"] or not region["to_name"]:
            raise Broke(f"a region without names: {region}")
        if not _is_inside(region["value"]):
            raise Broke(f"a region outside the image: {region}")


def _is_inside(value: Mapping[str, Any]) -> bool:
    """Percent of the image."""
    points = list(value.get("points", []))
    if "x" in value and "width" in value:
        points += [(value["x"], value["y"]), (value["x"] + value["width"], value["y"] + value["height"])]
    numbers = [number for point in points for number in point]
    return all(math.isfinite(number) and -1e-3 <= number <= 100 + 1e-3 for number in numbers)


def _task(number: int) -> dict[str, Any]:
    """With images under every key that a config uses."""
    urls = [picture_url(FIRST_SCENE + 2 * number + place) for place in range(2)]
    data = {
        "image": urls[0],
        "second": urls[1],
        "photo": {"url": urls[0]},
        "images": urls,
        "pages": [{"url": url} for url in urls],
    }
    return {"id": number + 1, "data": data, "annotations": [], "predictions": []}


def picture_url(scene: int) -> str:
    """A drawn scene as a data: URL."""
    buffer = io.BytesIO()
    Image.fromarray(generate_scene(scene, SCENE).image).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
