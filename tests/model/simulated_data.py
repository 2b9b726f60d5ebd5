"""A tiny labelled data set on disk, and trainers that only pretend: what the tests of simulations share."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from fbnetv3.data.coco import CocoExamples, to_coco
from fbnetv3.data.examples import Examples, SceneExamples
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress
from fbnetv3.finetuning.cross_fitting import CrossFitted, LeftOut
from fbnetv3.finetuning.plan import Outlines, make_plan
from fbnetv3.finetuning.start import Sources
from fbnetv3.folds import FOLD, FOLD_WEIGHTS, folds_of
from fbnetv3.weights import Checkpoint

SIZE = (192, 256)


def write_scenes(folder: Path, splits: list[str | None]) -> Path:
    """One scene per split, image ids counting from 1; the annotation file, beside the images."""
    data, images = to_coco(SceneExamples(1_000_000, len(splits), SIZE), range(len(splits)))
    for record, image, split in zip(data["images"], images, splits, strict=True):
        record["id"] += 1
        record["file_name"] = f"{record['id']}.png"
        if split:
            record["split"] = split
        Image.fromarray(image).save(folder / record["file_name"])
    for label in data["annotations"]:
        label["image_id"] += 1
    file = folder / "annotations.json"
    file.write_text(json.dumps(data))
    return file


@dataclass
class FakeTrainer:
    """Stands in for `cross_fit`: answers with these weights in turn, the last ones for ever, in each fold too; keeps
    what it was given."""

    answers: list[Checkpoint | Exception]
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self,
        start: Checkpoint,
        images: CocoExamples,
        folder: Path,
        settings: FineTuningSettings,
        *,
        sources: Sources,
        pictures: Sequence[Hashable],
        on_progress: Callable[[Progress], None],
    ) -> CrossFitted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.pt").write_text("where it can go on from")
        assert settings.cache is not None
        Path(settings.cache).mkdir(exist_ok=True)
        self.calls.append({"start": start.digest, "images": ids(images), "settings": settings})
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        on_progress(Progress(1, 1, {"loss": 1.0}, 0.1, 2.0, 0.0))
        fitted = cross_fitted(answer, start, images, settings, sources)
        for number, fold in enumerate(fitted.folds, 1):
            (folder / f"{FOLD}{number}").mkdir()
            fold.write(folder / f"{FOLD}{number}" / FOLD_WEIGHTS)
        return fitted


def cross_fitted(
    answer: Checkpoint, start: Checkpoint, images: Examples, settings: FineTuningSettings, sources: Sources
) -> CrossFitted:
    """As if all runs of a cross-fitting had come to these weights."""
    folds = tuple(LeftOut(answer, places, 2.0) for places in folds_of(range(len(images))))
    plan = make_plan(start, Outlines.of(images), settings, sources=sources)
    return CrossFitted(FineTuned(answer, plan, 10.0 * len(images), 1), folds)


def ids(examples: CocoExamples) -> list[int]:
    return [record["id"] for record, _ in examples.records]
