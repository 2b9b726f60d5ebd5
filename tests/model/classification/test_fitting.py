"""Fitting heads: they learn what can be learnt, and few, rare or missing labels break nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from choice_data import THINGS, WEATHER, Glance, chosen_snapshot, glance, weather

from fbnetv3.classification.fitting import fit_head, fit_heads
from fbnetv3.classification.linear_head import pool_images
from fbnetv3.data.image_labels import HeadSpec

ABC = HeadSpec("letters", ("a", "b", "c"), False)
ANY = HeadSpec("letters", ("a", "b", "c"), True)


def clouds(
    per_class: tuple[int, ...], d: int = 30, apart: float = 4.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """So many vectors (n, d) of each class, around a point of its own, and (n, classes) which class."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(per_class)), per_class)
    centres = np.random.default_rng(9).normal(0, apart / np.sqrt(d), (len(per_class), d))
    vectors = centres[classes] + rng.normal(0, 1, (len(classes), d)) / np.sqrt(d)
    return vectors.astype(np.float32), np.eye(len(per_class), dtype=bool)[classes]


class TestSnapshots:
    def test_learns_every_choice_from_one_look_at_each_labelled_image(self, tmp_path: Path) -> None:
        colours = ["red", "green", "blue"] * 4
        train = [
            (colour, {"weather": [colour], "things": ["bright"] if colour == "green" else []})
            for colour in colours
        ]
        holdout = weather("blue", "red", "green")
        snapshot = chosen_snapshot(tmp_path, [*train, ("red", None)], holdout, [WEATHER, THINGS])
        detector, looks = Glance(), []
        heads = fit_heads(detector, snapshot, lambda: looks.append(None))  # type: ignore[arg-type]
        assert len(detector.seen) == len(set(detector.seen)) == len(looks) == 12, (
            "neither held out nor unlabelled"
        )
        assert [head.spec for head in heads] == list(snapshot.head_specs)
        pooled = pool_images(glance(), [image.path for image in snapshot.labelled_images("holdout")])
        assert heads[0].probabilities(pooled).argmax(1).tolist() == [2, 0, 1]
        things = heads[1].probabilities(pooled)
        assert things[2, 0] > 0.5 > things[:2, 0].max() and things[:, 1].max() < 0.1

    def test_choices_with_one_answer_are_left_out(self, tmp_path: Path) -> None:
        train = [("red", {"weather": ["red"], "things": ["dark"]})] * 3
        snapshot = chosen_snapshot(tmp_path, train, heads=[WEATHER, THINGS])
        assert fit_heads(glance(), snapshot) == ()

    def test_nothing_labelled(self, tmp_path: Path) -> None:
        assert fit_heads(glance(), chosen_snapshot(tmp_path, [("red", None)])) == ()


class TestFewLabels:
    def test_the_same_labels_give_the_same_head(self) -> None:
        one, other = (fit_head(ABC, *clouds((4, 3, 3))) for _ in range(2))
        assert np.array_equal(one.weight, other.weight) and np.array_equal(one.bias, other.bias)

    @pytest.mark.parametrize("spec", [ABC, ANY], ids=["single", "multiple"])
    def test_one_image_of_each_of_two_classes(self, spec: HeadSpec) -> None:
        pooled, truth = clouds((1, 1, 0))
        found = fit_head(spec, pooled, truth).probabilities(pooled)
        assert (found.argmax(1) == [0, 1]).all() and (found[:, 2] < 0.26).all()

    @pytest.mark.parametrize("spec", [ABC, ANY], ids=["single", "multiple"])
    def test_a_class_that_never_occurs_is_unlikely_everywhere(self, spec: HeadSpec) -> None:
        head = fit_head(spec, *clouds((20, 20, 0)))
        assert head.probabilities(clouds((5, 5, 5), seed=1)[0])[:, 2].max() < 0.1

    def test_a_class_that_always_holds_stays_finite(self) -> None:
        pooled, truth = clouds((6, 6, 0))
        truth[:, 2] = True
        head = fit_head(ANY, pooled, truth)
        assert np.isfinite(head.weight).all() and (head.probabilities(pooled)[:, 2] > 0.9).all()

    def test_a_rare_class_is_learnt_beside_common_ones(self) -> None:
        head = fit_head(ABC, *clouds((40, 40, 4)))
        pooled, truth = clouds((5, 5, 5), seed=1)
        assert (head.probabilities(pooled).argmax(1) == truth.argmax(1)).mean() >= 0.9

    def test_images_that_are_all_alike(self) -> None:
        pooled = np.ones((4, 30), np.float32)
        found = fit_head(ABC, pooled, np.eye(3, dtype=bool)[[0, 0, 0, 1]]).probabilities(pooled)
        assert found[0] == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=1e-3)


def test_what_cannot_be_learnt_is_not_claimed() -> None:
    """Labels by dice: confident answers would be shown to people as suggestions."""
    pooled, _ = clouds((60, 0, 0))
    rng = np.random.default_rng(2)
    head = fit_head(ABC, pooled[:40], np.eye(3, dtype=bool)[rng.integers(0, 3, 40)])
    assert head.probabilities(pooled[40:]).max() < 0.7
