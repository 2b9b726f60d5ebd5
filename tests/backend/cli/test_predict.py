"""`prelabel predict` and `prelabel label-config`: files in, tasks to import, COCO results or pictures out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner, Result

from fbnetv3.judging import IDENTITY
from fbnetv3.judging.carried import carrying
from fbnetv3.scenes import SCENE_LABELS, generate_scene
from fbnetv3.weights import load_checkpoint, write_checkpoint
from prelabel.cli import app

SIZE = (240, 320)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two scenes of the same name in different folders."""
    paths = []
    for number in (0, 3):
        folder = tmp_path_factory.mktemp("photos")
        paths.append(folder / "photo.png")
        Image.fromarray(generate_scene(5_000_000 + number, SIZE).image).save(paths[-1])
    return paths


def test_tasks_for_label_studio_are_valid_under_the_printed_config(
    photos: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "tasks.json"
    assert run("predict", *photos, "--out", out).exit_code == 0
    printed = run("label-config")
    assert printed.exit_code == 0
    interface = LabelInterface(printed.stdout)
    tasks = json.loads(out.read_text())
    assert [task["data"]["image"] for task in tasks] == [str(path) for path in photos]
    for task in tasks:
        [prediction] = task["predictions"]
        assert prediction["model_version"].startswith("starter-")
        assert {region["type"] for region in prediction["result"]} == {"rectanglelabels", "brushlabels"}
        assert interface.validate_prediction(prediction, return_errors=True) == []


def test_a_project_s_own_config_decides_what_is_written(photos: list[Path], tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    claims = ",".join(SCENE_LABELS)
    config.write_text(
        f'<View><Image name="i" value="$photo"/><PolygonLabels name="outline" toName="i">'
        f'<Label value="Thing" predicted_values="{claims}"/></PolygonLabels></View>'
    )
    result = run("predict", photos[0], "--label-config", config)
    assert result.exit_code == 0
    [task] = json.loads(result.stdout)
    assert task["data"] == {"photo": str(photos[0])}
    regions = task["predictions"][0]["result"]
    assert regions
    assert all(region["value"]["polygonlabels"] == ["Thing"] for region in regions)


@pytest.mark.parametrize(
    ("image", "data"),
    [
        ('<Image name="i" value="$photos[0].url"/>', {"photos": [{"url": "FILE"}]}),
        ('<Image name="i" value="$photos[0]"/>', {"photos": ["FILE"]}),
        ('<Image name="i" value="$photo.url"/>', {"photo.url": "FILE"}),
        (
            '<Repeater on="$a.pages"><Image name="p{{idx}}" value="$a.pages[{{idx}}]"/>',
            {"a": {"pages": ["FILE"]}},
        ),
    ],
)
def test_a_file_lies_where_the_config_looks_for_it(
    photos: list[Path], tmp_path: Path, image: str, data: dict[str, object]
) -> None:
    config, is_paged = tmp_path / "config.xml", "Repeater" in image
    rows = "".join(f'<Label value="{label}"/>' for label in SCENE_LABELS)
    name, to = ("r{{idx}}", "p{{idx}}") if is_paged else ("r", "i")
    control = f'<RectangleLabels name="{name}" toName="{to}">{rows}</RectangleLabels>'
    config.write_text(f"<View>{image}{control}{'</Repeater>' * is_paged}</View>")
    [task] = json.loads(run("predict", photos[0], "--label-config", config).stdout)
    assert task["data"] == json.loads(json.dumps(data).replace("FILE", str(photos[0])))
    names = {(one["from_name"], one["to_name"]) for one in task["predictions"][0]["result"]}
    assert names == {("r0", "p0") if is_paged else ("r", "i")}


@pytest.mark.parametrize("value", ["$photos[1]", "http://host/$file"])
def test_a_config_for_which_a_file_is_not_enough_is_refused(
    photos: list[Path], tmp_path: Path, value: str
) -> None:
    config = tmp_path / "config.xml"
    rows = "".join(f'<Label value="{label}"/>' for label in SCENE_LABELS)
    config.write_text(
        f'<View><Image name="i" value="{value}"/><RectangleLabels name="r" toName="i">{rows}</RectangleLabels></View>'
    )
    result = run("predict", photos[0], "--label-config", config)
    assert result.exit_code == 1 and "one file is not enough" in result.stderr


def test_coco_results_have_boxes_around_their_masks(photos: list[Path]) -> None:
    result = run("predict", photos[0], "--format", "coco", "--threshold", "0.5")
    assert result.exit_code == 0
    records = json.loads(result.stdout)
    assert records
    for record in records:
        assert record["image_id"] == 0 and record["score"] >= 0.5
        assert record["category_name"] == SCENE_LABELS[record["category_id"]]
        x, y, width, height = record["bbox"]
        mask = coco_mask.decode(record["segmentation"]).astype(bool)
        assert mask.shape == SIZE
        rows, columns = np.nonzero(mask)
        assert columns.min() >= x - 1 and columns.max() <= x + width + 1
        assert rows.min() >= y - 1 and rows.max() <= y + height + 1


def test_pictures_are_drawn_for_all_images_of_one_name(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    assert run("predict", *photos, "--draw", folder, "--out", tmp_path / "o.json").exit_code == 0
    pictures = sorted(folder.iterdir())
    assert [path.name for path in pictures] == ["0001-photo.png", "0002-photo.png"]
    for picture, photo in zip(pictures, photos, strict=True):
        with Image.open(picture) as drawn, Image.open(photo) as original:
            assert drawn.size == original.size
            assert np.asarray(drawn).tobytes() != np.asarray(original).tobytes()


def test_an_unreadable_image_costs_the_others_nothing(photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    out = tmp_path / "tasks.json"
    result = run("predict", broken, photos[0], tmp_path / "missing.jpg", "--out", out)
    assert result.exit_code == 1
    assert "2 of 3 images could not be read" in result.stderr
    assert "Traceback" not in result.stderr
    assert [task["data"]["image"] for task in json.loads(out.read_text())] == [str(photos[0])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "nonsense"], "nonsense"),
        (["--label-config", "missing.xml"], "cannot read missing.xml"),
        (["--out", "no/such/folder/out.json"], "cannot write no/such/folder"),
    ],
)
def test_errors_are_one_sentence(photos: list[Path], arguments: list[str], message: str) -> None:
    result = run("predict", photos[0], *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_config_without_a_control_for_images_is_refused(photos: list[Path], tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    config.write_text('<View><Text name="t" value="$text"/></View>')
    result = run("predict", photos[0], "--label-config", config)
    assert result.exit_code == 1 and "no control on an image" in result.stderr


def test_a_photo_without_its_last_bytes_is_read_and_named(photos: list[Path], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    Image.open(photos[0]).save(whole)
    cut.write_bytes(whole.read_bytes()[:-2])
    results = [
        run("predict", path, "--format", "coco", "--out", tmp_path / "out.json") for path in (whole, cut)
    ]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stderr.strip() == ""
    assert f"{cut}: the image file is cut short, about 0.0% of the picture is missing" in results[1].stderr


def test_weights_say_from_which_score_their_labels_are_shown(photos: list[Path], tmp_path: Path) -> None:
    starter = load_checkpoint("starter")
    everywhere = _labels(run("predict", *photos, "--format", "coco"))
    hidden, shown = everywhere[:2]
    weights = tmp_path / "mine.safetensors"
    write_checkpoint(carrying(starter, IDENTITY, {hidden: 1.01, shown: 0.05}), weights)
    found = _labels(run("predict", *photos, "--format", "coco", "--weights", weights))
    assert hidden not in found and shown in found
    assert set(everywhere) - {hidden} <= set(found), "others are shown as ever"
    given = run("predict", *photos, "--format", "coco", "--weights", weights, "--threshold", "0.3")
    assert _labels(given) == everywhere, "what is asked for wins"


def _labels(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return sorted({one["category_name"] for one in json.loads(result.stdout)})
