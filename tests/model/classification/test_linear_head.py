"""Linear heads: probabilities, pooling, and a file that comes back as it was and needs no PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from choice_data import Glance, coloured

from fbnetv3.classification.heads_file import read_heads, write_heads
from fbnetv3.classification.linear_head import LinearHead, pool, pool_images
from fbnetv3.data.image_labels import HeadSpec
from fbnetv3.images import ImageError
from fbnetv3.weights import WeightsError

RNG = np.random.default_rng(0)


def head(multi_label: bool, classes: tuple[str, ...] = ("sun", "rain ☂", "fog"), d: int = 5) -> LinearHead:
    weight = RNG.normal(0, 1, (len(classes), d)).astype(np.float32)
    return LinearHead(
        HeadSpec("weather", classes, multi_label), weight, np.arange(len(classes), dtype=np.float32)
    )


class TestProbabilities:
    def test_of_a_single_choice_sum_to_one(self) -> None:
        found = head(False).probabilities(RNG.normal(0, 100, (4, 5)).astype(np.float32))
        assert found.shape == (4, 3) and np.allclose(found.sum(1), 1) and np.isfinite(found).all()

    def test_of_a_multiple_one_are_independent(self) -> None:
        one = LinearHead(HeadSpec("w", ("a", "b"), True), np.array([[1.0], [-1e6]]), np.array([0.0, 0.0]))
        assert one.probabilities(np.array([[1.0]])) == pytest.approx(np.array([[1 / (1 + np.exp(-1)), 0.0]]))

    def test_what_it_may_be_unsure_of(self) -> None:
        single, multiple, sure = head(False), head(True), head(False, ("sun",))
        pooled = RNG.normal(0, 1, 5).astype(np.float32)
        [found] = single.distributions(pooled)
        assert found.tolist() == single.probabilities(pooled[None])[0].tolist()
        yes = [distribution[0] for distribution in multiple.distributions(pooled)]
        assert yes == pytest.approx(multiple.probabilities(pooled[None])[0].tolist())
        assert all(one.sum() == pytest.approx(1) for one in multiple.distributions(pooled))
        assert sure.distributions(pooled) == []

    def test_features_of_other_weights_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="mismatch"):
            head(False).probabilities(np.zeros((1, 6), np.float32))


class TestPooling:
    def test_is_four_statistics_of_every_level(self) -> None:
        maps = {"p4": np.array([[[0.0, 2.0]], [[4.0, 4.0]]]), "p3": np.zeros((2, 3, 3))}
        mean, spread = np.array([1.0, 4.0]) / np.sqrt(17), np.array([1.0, 0.0])
        most, least = np.array([2.0, 4.0]) / np.sqrt(20), np.array([0.0, 1.0])
        assert pool(maps) == pytest.approx(np.concatenate([np.zeros(8), mean, spread, most, least]))
        assert pool(dict(reversed(maps.items()))).tolist() == pool(maps).tolist()

    def test_contrast_does_not_count(self) -> None:
        maps = {"trunk3": RNG.normal(0, 1, (6, 4, 5)).astype(np.float32)}
        assert pool({"trunk3": 3 * maps["trunk3"]}) == pytest.approx(pool(maps), abs=1e-6)
        assert pool(maps).dtype == np.float32

    def test_an_image_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        [name] = coloured(tmp_path, ["red"])
        (tmp_path / "broken.png").write_bytes(b"no image")
        seen: list[None] = []
        with pytest.raises(ImageError, match=r"^broken\.png: "):
            pool_images(Glance(), [tmp_path / name, tmp_path / "broken.png"], lambda: seen.append(None))  # type: ignore[arg-type]
        assert len(seen) == 1


class TestFile:
    def test_comes_back(self, tmp_path: Path) -> None:
        heads = [head(False), head(True, ("a", "b"), 7)]
        file = tmp_path / "version" / "heads.safetensors"
        write_heads(heads, file)
        for one, other in zip(read_heads(file), heads, strict=True):
            assert one.spec == other.spec
            assert np.array_equal(one.weight, other.weight) and np.array_equal(one.bias, other.bias)
        before = file.read_bytes()
        write_heads(heads, file)
        assert file.read_bytes() == before

    def test_none_at_all(self, tmp_path: Path) -> None:
        write_heads([], tmp_path / "heads.safetensors")
        assert read_heads(tmp_path / "heads.safetensors") == ()

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        file = tmp_path / "heads.safetensors"
        with pytest.raises(WeightsError, match="damaged"):
            read_heads(file)
        save_file({"0.weight": np.zeros((1, 1))}, file)
        with pytest.raises(WeightsError, match="did not write it"):
            read_heads(file)
        write_heads([head(False)], file)
        file.write_bytes(file.read_bytes()[:-4])
        with pytest.raises(WeightsError, match="damaged"):
            read_heads(file)

    @pytest.mark.parametrize("weight", [np.zeros((2, 5)), np.full((3, 5), np.nan), np.zeros(3)])
    def test_numbers_that_do_not_fit_are_refused(self, weight: np.ndarray, tmp_path: Path) -> None:
        file = tmp_path / "heads.safetensors"
        write_heads([LinearHead(head(False).spec, weight.astype(np.float32), np.zeros(3, np.float32))], file)
        with pytest.raises(WeightsError, match="do not fit"):
            read_heads(file)


def test_serving_heads_needs_no_pytorch() -> None:
    code = "import sys, fbnetv3.classification.heads_file as _; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
