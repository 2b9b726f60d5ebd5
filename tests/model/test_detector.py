"""The detector gives each image its own instances, however the images come in."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import C4, FASTER_C4, FEW_REGIONS, LABELS, as_checkpoint, decided, small_network

from fbnetv3 import ConfigError, Detector, ImageError, Instances, WeightsError
from fbnetv3.engines.torch_engine import TorchEngine
from fbnetv3.images import to_network
from fbnetv3.network.rcnn import RCNN
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import write_checkpoint

LANDSCAPE, PORTRAIT = (128, 160), (150, 130)
SETTINGS = {**FEW_REGIONS, "norm": "GN", "min_size": 64, "max_size": 96}


def decided_network(name: str = C4) -> RCNN:
    """Untrained, but with scores that spread and boxes that leave their proposals and the image."""
    return decided(small_network(name, **SETTINGS))


@cache
def detector() -> Detector:
    return Detector(TorchEngine(decided_network()), LABELS, "test-1")


@cache
def photo(seed: int, size: tuple[int, int] = LANDSCAPE) -> np.ndarray:
    return generate_scene(seed, size).image


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.image_size == expected.image_size and found.label_names == expected.label_names
    assert found.labels == expected.labels
    assert np.allclose(found.scores, expected.scores, atol=1e-4)
    assert np.allclose(found.boxes, expected.boxes, atol=1e-2)
    assert found.masks is not None and expected.masks is not None
    for ours, theirs in zip(found.masks, expected.masks, strict=True):
        differ = ours.full(found.image_size) ^ theirs.full(found.image_size)
        assert differ.sum() <= 0.01 * max(theirs.area, 100)


class TestPredict:
    def test_what_it_returns(self) -> None:
        [found] = detector().predict([photo(0)])
        count = len(found)
        assert 0 < count <= detector().engine.config.detections_per_image
        assert found.image_size == LANDSCAPE and found.label_names == LABELS
        assert found.boxes.shape == (count, 4) and found.boxes.dtype == np.float32
        assert found.scores.shape == (count,) and found.scores.dtype == np.float32
        assert found.classes.shape == (count,) and found.classes.dtype == np.int64
        assert (np.diff(found.scores) <= 0).all() and found.scores.min() > 0.05 and found.scores.max() <= 1
        assert found.masks is not None and len(found.masks) == count

    def test_a_batch_gives_what_the_images_give_one_by_one(self) -> None:
        """More of one shape than go through the network at once, others between them."""
        sizes = [LANDSCAPE, PORTRAIT, LANDSCAPE, LANDSCAPE, LANDSCAPE, PORTRAIT, LANDSCAPE]
        photos = [photo(seed, size) for seed, size in enumerate(sizes)]
        together = detector().predict(photos)
        assert len(together) == len(photos)
        alone = [detector().predict([one])[0] for one in photos]
        assert len({one.boxes.tobytes() for one in alone}) == len(alone)
        for found, expected in zip(together, alone, strict=True):
            assert_same(found, expected)

    def test_its_own_pixel_limit_holds_for_arrays_too(self) -> None:
        pixels = photo(0).shape[0] * photo(0).shape[1]
        strict = Detector(TorchEngine(decided_network()), LABELS, "test-3", max_pixels=pixels - 1)
        with pytest.raises(ImageError, match="more than the allowed"):
            strict.predict([photo(0)])
        lenient = Detector(TorchEngine(decided_network()), LABELS, "test-3", max_pixels=pixels)
        assert len(lenient.predict([photo(0)])) == 1

    def test_nothing_scores_enough(self) -> None:
        [found] = detector().predict([photo(0)], score_threshold=1.0)
        assert len(found) == 0 and found.masks == ()

    def test_no_images(self) -> None:
        assert detector().predict([]) == []

    def test_nothing_reaches_outside_the_image(self) -> None:
        touching = 0
        for size in (LANDSCAPE, PORTRAIT):
            height, width = size
            for found in detector().predict([photo(seed, size) for seed in range(3)]):
                assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
                assert (found.boxes >= 0).all() and (found.boxes[:, 2:] <= (width, height)).all()
                touching += int((found.boxes[:, 2:] == (width, height)).any(1).sum())
                assert found.masks is not None
                for mask in found.masks:
                    rows, columns = mask.bitmap.shape
                    assert mask.x >= 0 and mask.y >= 0
                    assert mask.x + columns <= width and mask.y + rows <= height
        assert touching > 0

    def test_masks_lie_in_their_boxes(self) -> None:
        """A pixel is set by its centre, so at most one pixel around the box."""
        [found] = detector().predict([photo(1)])
        assert found.masks is not None and any(mask.area for mask in found.masks)
        for box, mask in zip(found.boxes, found.masks, strict=True):
            rows, columns = np.nonzero(mask.full(found.image_size))
            if len(rows):
                assert columns.min() >= box[0] - 1 and columns.max() + 1 <= box[2] + 1
                assert rows.min() >= box[1] - 1 and rows.max() + 1 <= box[3] + 1

    def test_boxes_are_in_pixels_of_the_image(self) -> None:
        size = detector().network_size(photo(0))
        assert size == (64, 80)
        with torch.inference_mode():
            [raw] = decided_network().eval()([torch.from_numpy(to_network(photo(0), size))])
        [found] = detector().predict([photo(0)])
        assert np.allclose(found.boxes, 2 * raw.boxes.numpy(), atol=1e-2)

    def test_without_a_mask_head_there_are_no_masks(self) -> None:
        faster = Detector(TorchEngine(decided_network(FASTER_C4)), LABELS, "test-2")
        [found] = faster.predict([photo(0)])
        assert not faster.has_masks and detector().has_masks
        assert len(found) > 0 and found.masks is None

    def test_threads_share_it(self) -> None:
        photos = [photo(seed, size) for seed, size in enumerate([LANDSCAPE, PORTRAIT] * 2)]
        expected = [detector().predict([one])[0] for one in photos]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda i: detector().predict([photos[i % 4]])[0], range(8)))
        for i, one in enumerate(found):
            assert_same(one, expected[i % 4])


class TestThreshold:
    def test_drops_what_scores_less(self) -> None:
        [everything] = detector().predict([photo(0)])
        middle = float(everything.scores[len(everything) // 2])
        [found] = detector().predict([photo(0)], score_threshold=middle)
        assert 0 < len(found) < len(everything)
        assert_same(found, everything.select(everything.scores >= middle))

    def test_nothing_scores_enough(self) -> None:
        [found] = detector().predict([photo(0)], score_threshold=1.0)
        assert len(found) == 0 and found.boxes.shape == (0, 4) and found.masks == ()
        assert found.image_size == LANDSCAPE

    def test_the_models_own_threshold_holds_in_any_case(self) -> None:
        strict = Detector.load(as_checkpoint(decided_network(), **SETTINGS), score_threshold=0.8)
        [found] = strict.predict([photo(0)], score_threshold=0.0)
        [everything] = detector().predict([photo(0)])
        assert len(found) == (everything.scores > 0.8).sum() < len(everything)


class TestSources:
    def test_grey_is_seen_as_rgb(self) -> None:
        grey = photo(0).mean(2).astype(np.uint8)
        [found] = detector().predict([grey])
        [expected] = detector().predict([np.stack([grey] * 3, 2)])
        assert len(found) > 0
        assert_same(found, expected)

    def test_all_kinds_in_one_call(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        Image.fromarray(photo(0)).save(buffer, "PNG")
        path = tmp_path / "photo.png"
        path.write_bytes(buffer.getvalue())
        results = detector().predict(
            [photo(0), path, str(path), buffer.getvalue(), Image.fromarray(photo(0))]
        )
        for found in results:
            assert_same(found, results[0])

    def test_a_rotated_photo_is_seen_upright(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.rot90(photo(0), 1)).save(tmp_path / "rotated.png", exif=exif)
        [found] = detector().predict([tmp_path / "rotated.png"])
        [expected] = detector().predict([photo(0)])
        assert_same(found, expected)

    def test_an_image_that_cannot_be_read(self) -> None:
        with pytest.raises(ImageError):
            detector().predict([photo(0), b"not an image"])


class TestLoading:
    def test_from_a_checkpoint(self) -> None:
        checkpoint = as_checkpoint(decided_network(), **SETTINGS)
        loaded = Detector.load(checkpoint)
        assert loaded.labels == LABELS and loaded.engine.name == "torch"
        assert loaded.version == f"{C4}-{checkpoint.digest}"
        [found] = loaded.predict([photo(0)])
        [expected] = detector().predict([photo(0)])
        assert_same(found, expected)

    def test_the_version_names_the_file_and_its_content(self, tmp_path: Path) -> None:
        """It survives another load, and changes with the weights."""
        model = decided_network()
        path = tmp_path / "small.parts.safetensors"
        versions = []
        for step in range(2):
            with torch.no_grad():
                model.roi_heads.box_predictor.cls_score.bias.add_(step)
            write_checkpoint(as_checkpoint(model, **SETTINGS), path)
            versions += [Detector.load(name, engine="torch").version for name in (path, str(path))]
        assert all(re.fullmatch(r"small\.parts-[0-9a-f]{12}", version) for version in versions)
        assert versions[0] == versions[1] != versions[2] == versions[3]

    def test_settings_change_the_network(self) -> None:
        loaded = Detector.load(as_checkpoint(decided_network(), **SETTINGS), min_size=32, mask_threshold=0.9)
        assert loaded.network_size(photo(0)) == (32, 40)
        assert loaded.engine.config.mask_threshold == 0.9

    def test_missing_weights(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError):
            Detector.load(tmp_path / "gone.safetensors")

    def test_a_wrong_setting(self) -> None:
        with pytest.raises(ConfigError, match="score_threshold"):
            Detector.load(as_checkpoint(decided_network(), **SETTINGS), score_threshold=2)
