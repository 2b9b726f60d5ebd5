"""The files of a review: complete, small, and safe to open whatever labels and files are called."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from review_samples import finding, overlooked, review

from fbnetv3.instances import Instances
from prelabel.labelstudio.errors import FetchError
from prelabel.review.files import COLUMNS, as_csv, write_review
from prelabel.review.findings import ReviewFinding
from prelabel.review.page import review_page
from prelabel.review.pictures import SIZE, picture_pair
from prelabel.review.review import Picture
from prelabel.review.write_back import columns_of

BOX = (10.0, 10.0, 50.0, 40.0)
TWICE: dict[str, Any] = {"labels": ("disc", "disc"), "boxes": (BOX, BOX), "objects": (1, 0)}
NASTY = '<script>alert("1")</script>'


def link(one: ReviewFinding) -> str | None:
    return f"http://label-studio/projects/7/data?task={one.image_ref.task}" if one.image_ref.task else None


def test_all_three_files_tell_of_every_finding(tmp_path: Path) -> None:
    found = [finding(), overlooked(BOX), finding("duplicate", regions=("r1", "r2"), **TWICE)]
    pictures: list[int] = []
    paths = write_review(review(*found), tmp_path / "new" / "folder", link, lambda: pictures.append(1))
    assert [path.name for path in paths] == ["findings.json", "findings.csv", "review.html"]
    content = json.loads(paths[0].read_text())
    assert [one["id"] for one in content["findings"]] == [one.id for one in found]
    assert content["findings"][0]["link"] == "http://label-studio/projects/7/data?task=3"
    rows = list(csv.DictReader(paths[1].read_text(encoding="utf-8").splitlines()))
    assert [(row["id"], row["correction"], row["regions"]) for row in rows] == [
        (found[0].id, "disc -> box", "r1"),
        (found[1].id, "add disc", ""),
        (found[2].id, "keep one disc", "r1 r2"),
    ]
    assert len(pictures) == 3 and all(one.id in paths[2].read_text() for one in found)


def test_nothing_on_the_page_is_taken_for_markup_or_loaded_from_elsewhere() -> None:
    html = review_page(
        review(finding(task=None, labels=(NASTY,), label=NASTY, regions=('"><img src=x>',))),
        link,
        lambda: None,
    )
    assert NASTY not in html and "<img src=x>" not in html and "&lt;script&gt;" in html
    assert "default-src 'none'" in html and "<script" not in html
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', html))
    assert not re.findall(r"url\(|@import|<link", html)


def test_a_finding_whose_image_is_gone_has_no_pictures() -> None:
    def gone(one: ReviewFinding) -> Picture:
        raise FetchError("image: not found")

    found = review(finding())
    object.__setattr__(found, "picture", gone)
    html = review_page(found, link, lambda: None)
    assert finding().id in html and "<img" not in html


def test_an_empty_review_says_so() -> None:
    assert "Nothing looks wrong." in review_page(review(), link, lambda: None)


def test_a_spreadsheet_gets_no_formula() -> None:
    text = as_csv(review(finding(labels=('=HYPERLINK("x")',), label="@sum")), link)
    header, row = csv.reader(io.StringIO(text))
    cells = dict(zip(header, row, strict=True))
    assert tuple(header) == COLUMNS
    assert cells["labels"] == '\'=HYPERLINK("x")' and cells["suggested_label"] == "'@sum"
    assert cells["confidence"] == "0.75"


@pytest.mark.parametrize("shape", [(2000, 3000), (30, 40), (1000, 8)])
def test_pictures_are_small_and_show_the_finding(shape: tuple[int, int]) -> None:
    height, width = shape
    pixels = np.zeros((*shape, 3), np.uint8)
    box = (width * 0.4, height * 0.5, width * 0.4 + 6, height * 0.5 + 5)
    nothing = Instances.empty(shape, ("disc",))
    for one in (finding(boxes=(box,)), overlooked(box)):
        for content in picture_pair(one, pixels, nothing, nothing):
            picture = Image.open(io.BytesIO(content))
            assert picture.width <= SIZE[0] and picture.height <= SIZE[1] and len(content) < 40_000
            yellow = np.asarray(picture).astype(int)
            assert ((yellow[..., 0] > 180) & (yellow[..., 1] > 150) & (yellow[..., 2] < 110)).any()


def test_the_columns_of_a_task_tell_its_worst_finding() -> None:
    found = [
        finding(confidence=0.6),
        overlooked(BOX, confidence=0.9),
        overlooked((60.0, 10.0, 90.0, 40.0), confidence=0.7),
        finding(task=4, source="prediction", kind="spurious", label=None),
        finding(task=None),
    ]
    assert columns_of(found) == {
        3: {
            "prelabel_check": 0.9,
            "prelabel_check_kinds": "overlooked: add disc; swapped label: disc -> box",
        },
        4: {"prelabel_check": 0.75, "prelabel_check_kinds": "prediction: unsure: check disc"},
    }


def test_the_template_of_the_page_is_in_a_wheel() -> None:
    root = Path(__file__).resolve().parents[3]
    setup = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    package = root / "backend" / "prelabel"
    packed = {file for pattern in setup["package-data"]["prelabel"] for file in package.glob(pattern)}
    templates = set(package.rglob("*.jinja"))
    assert templates and templates <= packed
