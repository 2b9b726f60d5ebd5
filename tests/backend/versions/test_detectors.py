"""Whatever is opened looks at images as the settings say, under the project's names or its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fbnetv3.detector import Detector
from fbnetv3.scenes import generate_scene
from prelabel.settings import load_settings
from prelabel.versions.detectors import open_detector, with_project_labels

SIZE = (240, 320)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_names_of_the_project_change_nothing_else(tmp_path: Path) -> None:
    settings = load_settings(
        prelabel_home=tmp_path,
        prelabel_engine="torch",
        prelabel_refined_edges="all",
        prelabel_max_image_pixels=1_000_000,
    )
    opened = open_detector(settings, "starter", version="v7")
    label = opened.labels[0]
    named = with_project_labels(opened, {"Thing": [label]})
    assert named.labels == ("Thing", *opened.labels[1:])
    assert (named.version, named.max_pixels) == ("v7", 1_000_000)

    image = generate_scene(900, SIZE).image
    refined = Detector.load("starter", engine="torch", refined_edges="all")
    expected, *found = (one.predict([image], 0.3)[0] for one in (refined, opened, named))
    assert expected.masks
    for one in found:
        assert one.masks
        for mask, wanted in zip(one.masks, expected.masks, strict=True):
            np.testing.assert_array_equal(mask.full(SIZE), wanted.full(SIZE))
