"""Fine-tuning as a whole, on generated scenes and a small network: what it changes, and that it can be interrupted."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from small_networks import as_checkpoint, small_network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fbnetv3.config import Norm
from fbnetv3.data.examples import Example, SceneExamples
from fbnetv3.detector import Detector
from fbnetv3.finetuning import FineTuned, FineTuningSettings, Progress, TrainingError, fine_tune, plan, run
from fbnetv3.finetuning import loop as loop_module
from fbnetv3.weights import Checkpoint

LABELS = SceneExamples(0, 1).labels
QUICK = FineTuningSettings(epochs=6, batch_size=2, min_size=64, max_size=96)


@pytest.fixture(autouse=True)
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions take most of the time."""
    monkeypatch.setattr(plan, "REGIONS_PER_IMAGE", 8)
    monkeypatch.setattr(plan, "MASKS_PER_IMAGE", 1)


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return as_checkpoint(small_network(num_classes=len(LABELS)), LABELS)


def scenes(first: int, count: int) -> SceneExamples:
    return SceneExamples(first, count, (128, 160))


def tuned(
    start: Checkpoint, folder: Path, settings: FineTuningSettings = QUICK, holdout: int = 1, **options: object
) -> FineTuned:
    return fine_tune(start, scenes(0, 4), scenes(50, holdout), folder, settings, **options)  # type: ignore[arg-type]


def test_all_but_the_frozen_stages_learns(start: Checkpoint, tmp_path: Path) -> None:
    result = tuned(start, tmp_path, replace(QUICK, frozen_stages=3))
    after = result.checkpoint.state
    kernels = [name for name in start.state if name.endswith("conv.weight")]
    still = {name for name in kernels if torch.equal(after[name], start.state[name])}
    assert still == {name for name in kernels if "trunk" in name and int(name.split("trunk")[1][0]) < 3}
    assert result.plan.frozen_stages == 3 and result.steps == result.plan.steps == 12
    assert result.checkpoint.settings["min_size"] == 64
    assert result.checkpoint.digest != start.digest


def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    whole = tuned(start, tmp_path / "whole")
    monkeypatch.setattr(loop_module, "REPORT_EVERY", 1)

    def interrupt(progress: Progress) -> None:
        if progress.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(start, tmp_path / "broken", on_progress=interrupt)
    steps: list[int] = []
    resumed = tuned(start, tmp_path / "broken", on_progress=lambda progress: steps.append(progress.step))
    assert steps[0] == 8, "the last checkpoint is after step 7"
    assert resumed.checkpoint.digest == whole.checkpoint.digest
    assert tuned(start, tmp_path / "broken").checkpoint.digest == whole.checkpoint.digest


def test_a_state_of_other_data_is_not_gone_on_from(start: Checkpoint, tmp_path: Path) -> None:
    tuned(start, tmp_path)
    steps: list[int] = []
    fine_tune(
        start,
        scenes(7, 4),
        scenes(50, 1),
        tmp_path,
        QUICK,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps[0] == loop_module.REPORT_EVERY


def test_the_cache_changes_nothing(start: Checkpoint, tmp_path: Path) -> None:
    """Features are rounded to half precision with and without it."""
    cached, uncached = (
        tuned(start, tmp_path / str(size), replace(QUICK, cache_bytes=size)) for size in (1 << 30, 0)
    )
    assert list((tmp_path / str(1 << 30) / "features").iterdir())
    assert not (tmp_path / "0" / "features").exists()
    assert cached.checkpoint.digest == uncached.checkpoint.digest


def test_what_it_leaves_to_look_at(
    start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PATIENCE", 9)
    tuned(start, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    final = {name for line in lines if line["step"] == 12 for name in line}
    wanted = {"loss/loss_mask", "loss/total", "learning_rate", "images_per_second", "seconds_left"}
    assert wanted | {"holdout/score", "holdout/box_AP50"} <= final
    board = EventAccumulator(str(tmp_path)).Reload()
    assert wanted | {"holdout/score"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("loss/total")] == [10, 12]
    chosen = json.loads((tmp_path / "plan.json").read_text())
    assert chosen["frozen_stages"] == 2 and chosen["reasons"]["min_size"] == "as given"


def test_it_stops_when_the_holdout_no_longer_gains(
    start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(run._Job, "_check", lambda self, model: {"score": next(scores)})
    result = tuned(start, tmp_path)
    assert result.steps == 9, "a check every 3 steps, patience 2"


def test_the_last_weights_are_kept_unless_earlier_ones_were_clearly_better(
    start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {}
    for name, scores in {
        "last": [0.1, 0.2, 0.3, 0.4],
        "chance": [0.1, 0.2, 0.41, 0.4],
        "third": [0.1, 0.2, 0.5, 0.4],
    }.items():
        given = iter(scores)
        monkeypatch.setattr(run._Job, "_check", lambda self, model, given=given: {"score": next(given)})
        digests[name] = tuned(start, tmp_path / name).checkpoint.digest
    assert digests["last"] == digests["chance"] != digests["third"]


def test_a_loss_that_is_not_finite_stops_it_with_a_sentence(
    start: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a learning rate that is refused as a rule."""
    monkeypatch.setattr(FineTuningSettings, "check", lambda self: None)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        tuned(start, tmp_path, replace(QUICK, learning_rate=1e20))


def test_no_images_are_a_sentence(start: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no images to train on"):
        fine_tune(start, scenes(0, 0), scenes(50, 1), tmp_path, QUICK)


def test_images_without_any_object_are_a_sentence(start: Checkpoint, tmp_path: Path) -> None:
    """A network that learns from them learns that nothing is anywhere."""
    with pytest.raises(TrainingError, match="no labelled object in the 4 images to train on"):
        fine_tune(start, WithoutObjects(scenes(0, 4)), scenes(50, 1), tmp_path, QUICK)
    assert not (tmp_path / "plan.json").exists()


@dataclass(frozen=True)
class WithoutObjects:
    """Scenes of which nothing is labelled."""

    scenes: SceneExamples
    labels: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Example:
        example = self.scenes[index]
        return replace(example, boxes=example.boxes[:0], classes=example.classes[:0], masks=())


@dataclass(frozen=True)
class WithoutMasks:
    """Scenes of which only boxes are known."""

    scenes: SceneExamples
    labels: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Example:
        example = self.scenes[index]
        return Example(example.image, example.boxes, example.classes, None)


@pytest.mark.parametrize("norm", ["GN", "BN"])
def test_other_norms_are_served_as_they_were_trained(start: Checkpoint, tmp_path: Path, norm: Norm) -> None:
    result = tuned(start, tmp_path, replace(QUICK, norm=norm, epochs=1), holdout=0)
    detector = Detector.load(result.checkpoint, engine="torch")
    assert detector.engine.config.norm == ("GN" if norm == "GN" else "NaiveSyncBN")
    assert len(detector.predict([scenes(0, 1)[0].image])) == 1
    again = tuned(result.checkpoint, tmp_path / "again", replace(QUICK, epochs=1), holdout=0)
    assert again.plan.norm == ("GN" if norm == "GN" else "FrozenBN")


def test_without_masks_the_mask_head_stays_as_it_is(start: Checkpoint, tmp_path: Path) -> None:
    result = fine_tune(start, WithoutMasks(scenes(0, 4)), scenes(50, 0), tmp_path, QUICK)
    head = [name for name in start.state if name.startswith("roi_heads.mask_head.")]
    assert all(torch.equal(result.checkpoint.state[name], start.state[name]) for name in head)
    lines = (tmp_path / "metrics.jsonl").read_text()
    assert "loss_cls" in lines and "loss_mask" not in lines
