"""Smart tools on labelled objects: masks from drawn boxes and from clicks, beside GrabCut, and what they cost.

    python benchmarks/prompts.py --weights coco --data FOLDER[:SPLIT] ... [--objects 100] [--threads 1]
    python benchmarks/prompts.py --weights starter            on drawn scenes

A FOLDER holds annotations.json (COCO's format, with masks) and images/. Every figure is mean mask IoU / mean boundary
F-score with the objects' own masks, at the natural size of the image; the boundary may be off by 0.8 % of the image's
diagonal (as Perazzi et al., CVPR 2016, do for videos). A prompt that is not answered counts as 0. The label is told
where the weights know it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
from measuring.prompts import (
    LabelledObject,
    click_beside,
    click_on_nothing,
    clicks,
    drawn_objects,
    examples,
    jittered,
    labelled_images,
    loose,
)
from measuring.sheets import Sheet

from fbnetv3.detector import Detector, ImageFeatures
from fbnetv3.edges import cut_mask
from fbnetv3.instances import Instances

BOUNDARY = 0.008
BOXES = ("own box", "10 % jitter", "up to 20 % loose")
CLICKS = ("1 click", "3 clicks", "2 clicks and 1 beside")
OURS, UNREFINED, UNTOLD, HALF, MOVED = (
    "prelabel",
    "without refined edges",
    "label not told",
    "cut at one half",
    "box moved by the box head",
)
GRABCUTS = {"GrabCut alone, 2 rounds": (128, 2), "GrabCut alone, 5 rounds": (256, 5)}
"""Side of the copy that it works on in pixels, and its iterations: a little, and more than the product spends."""

Image = tuple[np.ndarray, list[LabelledObject]]


@dataclass
class Results:
    """What was measured on one data set."""

    figures: dict[tuple[str, str], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    on_nothing: list[bool] = field(default_factory=list)

    def note(self, way: str, prompt: str, mask: np.ndarray | None, one: LabelledObject) -> None:
        """One answer, None where there was none."""
        self.figures[way, prompt].append(
            (0.0, 0.0) if mask is None else (_iou(mask, one.mask), _boundary_f(mask, one.mask))
        )

    def cell(self, way: str, prompt: str) -> str:
        """IoU / boundary F-score."""
        iou, boundary = np.mean(self.figures[way, prompt], 0)
        return f"{iou:.3f} / {boundary:.3f}"


class Bench:
    """One detector in the ways that are compared."""

    def __init__(self, weights: str, threads: int | None) -> None:
        self.detector = Detector.load(weights, threads=threads)
        self._unrefined = Detector(
            self.detector.engine, self.detector.labels, self.detector.version, refined_edges="none"
        )

    def run(self, images: Iterator[Image], random: np.random.Generator) -> Results:
        """Every prompt of every object."""
        results = Results()
        for image, objects in images:
            features = self._set(image, results)
            for one in objects:
                labels = [one.label] if one.label in self.detector.labels else []
                for prompt, box in zip(
                    BOXES, (one.box, jittered(one, 0.1, random), loose(one, 0.2, random)), strict=True
                ):
                    self._box(results, features, prompt, box, labels, one)
                self._clicks(results, features, labels, one, random)
            for _ in range(2):
                point = click_on_nothing(objects, random)
                found = self.detector.mask_at_points(features, point, np.array([True]))
                results.on_nothing.append(len(found) > 0)
        return results

    def _set(self, image: np.ndarray, results: Results) -> ImageFeatures:
        start = perf_counter()
        features = self.detector.set_image(image)
        results.seconds["image, once"].append(perf_counter() - start)
        return features

    def _box(
        self,
        results: Results,
        features: ImageFeatures,
        prompt: str,
        box: np.ndarray,
        labels: list[str],
        one: LabelledObject,
    ) -> None:
        start = perf_counter()
        found = self.detector.mask_in_box(features, box, labels)
        results.seconds["box"].append(perf_counter() - start)
        results.note(OURS, prompt, _mask(found), one)
        start = perf_counter()
        unrefined = self._unrefined.mask_in_box(features, box, labels)
        results.seconds["box, unrefined"].append(perf_counter() - start)
        results.note(UNREFINED, prompt, _mask(unrefined), one)
        results.note(UNTOLD, prompt, _mask(self.detector.mask_in_box(features, box)), one)
        for way, moved in ((HALF, False), (MOVED, True)):
            results.note(way, prompt, self._plain(features, box, labels, moved), one)
        for way, (side, rounds) in GRABCUTS.items():
            start = perf_counter()
            cut = grab_cut(features.pixels, box, side, rounds)
            results.seconds[way].append(perf_counter() - start)
            results.note(way, prompt, cut, one)

    def _plain(self, features: ImageFeatures, box: np.ndarray, labels: list[str], moved: bool) -> np.ndarray:
        """The mask head on the box, or on what the box head makes of it; cut at one half, edges as they are."""
        engine = self.detector.engine
        region = (box / features.scale).astype(np.float32)[None]
        scores, better = engine.classify(features.encoded, region)
        index = self.detector.labels.index(labels[0]) if labels else int(scores[0].argmax())
        if moved:
            height, width = features.encoded.size
            fitted = better[:, index].clip(0, np.array([width, height] * 2)).astype(np.float32)
            region = fitted if (fitted[0, 2:] > fitted[0, :2] + 1).all() else region
        [probability] = engine.mask_probabilities(features.encoded, region, np.array([index]))
        cut = cut_mask(features.pixels, probability, region[0] * features.scale, 0.5, refine=False)
        return cut.full(features.image_size)

    def _clicks(
        self,
        results: Results,
        features: ImageFeatures,
        labels: list[str],
        one: LabelledObject,
        random: np.random.Generator,
    ) -> None:
        three = clicks(one, 3, random)
        mixed = np.concatenate([three[:2], click_beside(one, random)])
        prompts = ((three[:1], [True]), (three, [True] * 3), (mixed, [True, True, False]))
        for name, (points, positive) in zip(CLICKS, prompts, strict=True):
            start = perf_counter()
            found = self.detector.mask_at_points(features, points, np.array(positive), labels)
            results.seconds["clicks"].append(perf_counter() - start)
            results.note(OURS, name, _mask(found), one)
            untold = self.detector.mask_at_points(features, points, np.array(positive))
            results.note(UNTOLD, name, _mask(untold), one)
            results.note(HALF, name, self._best_detection(features, points, np.array(positive)), one)

    def _best_detection(
        self, features: ImageFeatures, points: np.ndarray, positive: np.ndarray
    ) -> np.ndarray | None:
        """The most confident detection that holds the clicks: what a detector without prompts has to offer."""
        [found] = self.detector.find([features])
        columns, rows = np.floor(points).astype(int).T
        for mask in found.masks or ():
            full = mask.full(features.image_size)
            if (full[rows, columns] == positive).all():
                return full
        return None


def grab_cut(pixels: np.ndarray, box: np.ndarray, side: int, rounds: int) -> np.ndarray:
    """OpenCV's GrabCut from the box alone: what is outside is background, what is inside may be either."""
    height, width = pixels.shape[:2]
    margin = 0.35 * (box[2:] - box[:2]).max()
    x0, y0 = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(box[2:] + margin), (width, height)).astype(int)
    scale = min(1.0, side / max(x1 - x0, y1 - y0))
    size = max(round((x1 - x0) * scale), 2), max(round((y1 - y0) * scale), 2)
    small = cv2.resize(pixels[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
    marks = np.full(size[::-1], cv2.GC_BGD, np.uint8)
    left, top = np.maximum(np.floor((box[:2] - (x0, y0)) * scale), 1).astype(int)
    right, bottom = np.minimum(np.ceil((box[2:] - (x0, y0)) * scale), np.array(size) - 1).astype(int)
    marks[top:bottom, left:right] = cv2.GC_PR_FGD
    full = np.zeros((height, width), bool)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(small, marks, None, None, None, rounds, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error:  # nothing of one kind in so small a copy
        return full
    inside = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.float32)
    full[y0:y1, x0:x1] = cv2.resize(inside, (int(x1 - x0), int(y1 - y0))) >= 0.5
    return full


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="starter")
    parser.add_argument(
        "--data", nargs="+", default=[], help="FOLDER or FOLDER:SPLIT; drawn scenes when not given"
    )
    parser.add_argument("--objects", type=int, default=100, help="of each data set")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads or -1)
    bench = Bench(options.weights, options.threads)
    sets = {name: _images(name, options.objects) for name in options.data} or {
        "scenes": drawn_objects(options.objects)
    }
    boxes = Sheet("Boxes: IoU / boundary F", ("data", "way", *BOXES))
    points = Sheet("Clicks: IoU / boundary F", ("data", "way", *CLICKS))
    parts = ("image, once", "box", "box, unrefined", "clicks", *GRABCUTS)
    costs = Sheet("Milliseconds, medians", ("data", *parts, "clicks on nothing that were answered"))
    for name, images in sets.items():
        results = bench.run(images, np.random.default_rng(1))
        title = Path(name.partition(":")[0]).name
        for way in (OURS, UNREFINED, UNTOLD, HALF, MOVED, *GRABCUTS):
            boxes.add(title, way, *(results.cell(way, prompt) for prompt in BOXES))
        for way, shown in ((OURS, OURS), (UNTOLD, UNTOLD), (HALF, "best detection there")):
            points.add(title, shown, *(results.cell(way, prompt) for prompt in CLICKS))
        medians = {part: 1000 * float(np.median(times)) for part, times in results.seconds.items()}
        costs.add(title, *(medians[part] for part in parts), f"{np.mean(results.on_nothing):.0%}")
    for sheet in (boxes, points, costs):
        print(f"{sheet.title}\n\n{sheet.markdown()}\n")


def _images(name: str, objects: int) -> Iterator[Image]:
    folder, _, split = name.partition(":")
    return labelled_images(examples(Path(folder), split or None), objects, np.random.default_rng(0))


def _mask(found: Instances) -> np.ndarray | None:
    return found.masks[0].full(found.image_size) if len(found) and found.masks else None


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _boundary_f(mask: np.ndarray, truth: np.ndarray) -> float:
    """The harmonic mean of the shares of each outline that lie near the other."""
    reach = max(1, round(BOUNDARY * float(np.hypot(*mask.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    ours, theirs = _outline(mask), _outline(truth)
    near_ours, near_theirs = cv2.dilate(ours, disc), cv2.dilate(theirs, disc)
    precision = (ours & near_theirs).sum() / max(ours.sum(), 1)
    recall = (theirs & near_ours).sum() / max(theirs.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _outline(mask: np.ndarray) -> np.ndarray:
    whole = mask.astype(np.uint8)
    return whole - cv2.erode(whole, np.ones((3, 3), np.uint8), borderValue=0)


if __name__ == "__main__":
    main()
