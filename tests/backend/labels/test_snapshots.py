"""From a project to a snapshot: what is in it, what is left out and why, and that it comes out the same again."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from default_limits import fetch_limits
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image
from stand_in import Answer, StandIn, stand_in

from fbnetv3.data.snapshot import SnapshotError, is_held_out
from prelabel.labels.snapshots import NothingToLearn, ProjectSnapshot, build_snapshot
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher

PROJECT = 7
ROWS = '<Label value="Disc"/><Label value="Box"/><Label value="Never drawn"/>'
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    f'<RectangleLabels name="rect" toName="image">{ROWS}</RectangleLabels>'
    '<BrushLabels name="brush" toName="image"><Label value="Stain"/></BrushLabels></View>'
)
PAIR = (
    '<View><Image name="a" value="$left"/><Image name="b" value="$right"/>'
    f'<RectangleLabels name="rect" toName="a,b">{ROWS}</RectangleLabels></View>'
)
SIZE = (40, 60)
HELD_OUT, TRAINED = 5, 1
HELD_OUT_OF = {10: {5, 10}, 30: {5, 10, 13, 18, 26}}


def picture(seed: int, orientation: int = 1) -> str:
    """A data: URI."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def box(
    x: float, y: float, width: float, height: float, label: str = "Disc", **fields: Any
) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    region = {"id": "b", "from_name": "rect", "to_name": "image", "type": "rectanglelabels", "value": value}
    return region | fields


def stain(mask: np.ndarray) -> dict[str, Any]:
    rle = mask2rle(mask.astype(np.uint8) * 255)
    value = {"format": "rle", "rle": rle, "brushlabels": ["Stain"]}
    return {"id": "s", "from_name": "brush", "to_name": "image", "type": "brushlabels", "value": value}


def task(number: int, *result: dict[str, Any], image: Any = None, **data: Any) -> dict[str, Any]:
    annotation = {"id": 100 + number, "was_cancelled": False, "result": list(result)}
    return {
        "id": number,
        "data": data or {"image": image or picture(number)},
        "annotations": [annotation],
    }


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


class Project:
    """A project whose labels are read into the folder."""

    def __init__(self, server: StandIn, folder: Path) -> None:
        self._client = LabelStudioClient(server.url, "legacy-token")
        self._server = server
        self.folder = folder
        self.progress: list[tuple[int, int]] = []

    def snapshot(self, *tasks: dict[str, Any], config: str = CONFIG) -> ProjectSnapshot:
        self._server.answers(f"/api/projects/{PROJECT}/", Answer({"label_config": config}))
        self._server.answers(f"/api/projects/{PROJECT}/export", Answer(list(tasks)))
        fetcher = ImageFetcher(self._client, fetch_limits(total_timeout=5), self.folder / "cache")
        return build_snapshot(
            self._client,
            fetcher,
            read_project(self._client, PROJECT),
            self.folder,
            10_000,
            lambda done, total: self.progress.append((done, total)),
        )


@pytest.fixture
def project(server: StandIn, tmp_path: Path) -> Project:
    return Project(server, tmp_path)


def test_labels_and_images_of_a_project(project: Project) -> None:
    mask = np.zeros(SIZE, bool)
    mask[10:20, 5:30] = True
    found = project.snapshot(
        task(TRAINED, box(10, 10, 50, 50, "Box"), stain(mask)),
        task(2, box(0, 0, 100, 100), stain(mask) | {"id": "t"}),
        task(3),
        task(HELD_OUT, box(50, 50, 10, 10)),
    )
    snapshot = found.snapshot
    assert (found.tasks, found.annotations, found.left_out) == (4, 4, [])
    assert snapshot.labels == ("Disc", "Box", "Never drawn", "Stain")
    assert [len(snapshot.train), len(snapshot.holdout)] == [3, 1]
    first, second, third = (snapshot.train[i] for i in range(3))
    np.testing.assert_allclose(first.boxes, [[6, 4, 36, 24], [5, 10, 30, 20]])
    assert first.classes.tolist() == [1, 3] and second.classes.tolist() == [0, 3]
    assert first.masks is not None and np.array_equal(first.masks[1].full(SIZE), mask)
    assert first.masks[0].area == 0, "nobody drew a mask of that one"
    assert len(third.boxes) == 0, "submitted without a region: there is nothing"
    pixels = np.random.default_rng(TRAINED).integers(0, 255, (*SIZE, 3))
    assert np.array_equal(first.image, pixels)
    assert sorted(project.progress) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_same_labels_give_the_same_file_and_others_another(project: Project) -> None:
    tasks = [task(TRAINED, box(10, 10, 50, 50)), task(HELD_OUT, box(50, 50, 10, 10))]
    first = project.snapshot(*tasks).snapshot
    written = first.file.read_bytes()
    again = project.snapshot(*reversed(tasks)).snapshot
    assert again.digest == first.digest and again.file == first.file and first.file.read_bytes() == written
    assert first.file == project.folder / "snapshots" / f"{first.digest}.json"

    tasks[0]["annotations"][0]["result"][0]["value"]["x"] = 11
    other = project.snapshot(*tasks).snapshot
    assert other.digest != first.digest and first.file.read_bytes() == written
    assert len(list((project.folder / "images").iterdir())) == 2, "every image is kept once"


def test_the_hold_out_is_chosen_by_the_task_and_stays(project: Project) -> None:
    tasks = [task(number, box(10, 10, 50, 50)) for number in range(1, 31)]
    for count in (10, 30):
        records = project.snapshot(*tasks[:count]).snapshot.data["images"]
        assert {r["task"] for r in records if r["split"] == "holdout"} == HELD_OUT_OF[count]
        assert all((r["split"] == "holdout") == is_held_out(r["task"]) for r in records)


def test_objects_of_every_task_are_learnt_also_where_two_show_the_same_image(project: Project) -> None:
    """Cross-fitting leaves such a picture out whole."""
    found = project.snapshot(
        task(TRAINED, box(0, 0, 50, 50)),
        task(2, box(10, 10, 50, 50), image=picture(99)),
        task(HELD_OUT, box(50, 50, 10, 10), image=picture(99)),
    )
    assert [record["task"] for record in found.snapshot.data["images"]] == [TRAINED, 2, HELD_OUT]
    assert found.left_out == [] and len(found.snapshot.data["annotations"]) == 3
    first, second, third = found.snapshot.pictures
    assert first != second == third


def test_objects_of_held_out_tasks_alone_are_enough(project: Project) -> None:
    found = project.snapshot(task(HELD_OUT, box(1, 1, 9, 9)))
    assert [len(found.snapshot.train), len(found.snapshot.everything)] == [0, 1]


def test_what_cannot_be_used_is_left_out_with_a_reason(project: Project, server: StandIn) -> None:
    server.answers(
        "/data/upload/7/broken.png", Answer(b"no image at all", headers={"Content-Type": "image/png"})
    )
    found = project.snapshot(
        task(1, box(10, 10, 50, 50)),
        task(2, box(10, 10, 50, 50), image="/data/upload/7/missing.png"),
        task(3, box(10, 10, 50, 50), image="/data/upload/7/broken.png"),
        task(4, box(10, 10, 50, 50), other="no image here"),
        task(5, box(10, 10, 50, 50, "Gone")),
    )
    assert [record["task"] for record in found.snapshot.data["images"]] == [1]
    assert found.tasks == 5
    reasons = "\n".join(found.left_out)
    for said in (
        "task 2, image: ",
        "task 3, image: ",
        "task 4, image: The task has no image",
        "task 5, image: region b of 'rect' has the label 'Gone', which the labelling config does not have",
    ):
        assert said in reasons
    assert len(found.left_out) == 4


WIDE = CONFIG.replace(
    "</View>",
    '<KeyPointLabels name="kp" toName="image"><Label value="Disc"/><Label value="Eye"/></KeyPointLabels></View>',
)


def key_point(label: str) -> dict[str, Any]:
    value = {"x": 5, "y": 5, "width": 1, "keypointlabels": [label]}
    return {"id": "k", "from_name": "kp", "to_name": "image", "type": "keypointlabels", "value": value}


def unlabelled(**fields: Any) -> dict[str, Any]:
    """A box as Label Studio stores it where no label was picked."""
    region = box(20, 20, 50, 50, **fields) | {"type": "rectangle"}
    del region["value"]["rectanglelabels"]
    return region


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([unlabelled()], "region b of 'rect' has no label"),
        (
            [box(1, 1, 9, 9, "Gone")],
            "region b of 'rect' has the label 'Gone', which the labelling config does not have",
        ),
        ([box(1, 1, 9, 9, image_rotation=90)], "region b of 'rect' was drawn while the image was turned"),
        ([box(1, 1, 9, float("nan"))], "region b of 'rect' cannot be read"),
        ([box(350, 200, 90, 90)], "region b of 'rect' has no area in the image"),
        ([stain(np.zeros((3, 3), bool))], "region s of 'brush' cannot be read: the mask has 9 pixels"),
        ([key_point("Disc")], "region k of 'kp' is of the type 'keypointlabels'"),
        ([box(1, 1, 9, 9, from_name="old")], "region b of 'old' belongs to a tag"),
        (
            [unlabelled(), key_point("Disc"), unlabelled()],
            "has no label, and 2 more regions cannot be learnt",
        ),
    ],
)
def test_an_image_with_an_object_that_cannot_be_read_is_left_out_whole(
    bad: list[dict[str, Any]], says: str, project: Project
) -> None:
    """Learnt without it, the image would say that there is nothing."""
    good = box(10, 10, 50, 50, id="good")
    found = project.snapshot(task(1, good), task(2, good, *bad), task(3), config=WIDE)
    assert [record["task"] for record in found.snapshot.data["images"]] == [1, 3], (
        "nothing at all is said of 3"
    )
    [reason] = found.left_out
    assert reason.startswith("task 2, image: ") and says in reason and "\n" not in reason


def test_regions_that_show_no_objects_are_counted(project: Project) -> None:
    found = project.snapshot(task(1, box(10, 10, 50, 50), key_point("Eye"), key_point("Eye")), config=WIDE)
    assert len(found.snapshot.data["images"]) == 1
    assert found.left_out == ["2 regions with labels of which no objects are learnt"]


OVALS = CONFIG.replace("RectangleLabels", "EllipseLabels").replace('"rect"', '"oval"')


def test_a_project_of_ellipses_is_learnt_as_objects(project: Project) -> None:
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 30, "rotation": 0, "ellipselabels": ["Box"]}
    oval = {"id": "o", "from_name": "oval", "to_name": "image", "type": "ellipselabels", "value": value}
    found = project.snapshot(task(1, oval), task(2, oval), task(HELD_OUT, oval), config=OVALS)
    assert found.left_out == [] and len(found.snapshot.data["annotations"]) == 3
    example = found.snapshot.train[0]
    np.testing.assert_allclose(example.boxes, [[18, 8, 42, 32]])
    assert example.classes.tolist() == [1]
    assert example.masks is not None and example.masks[0].area == pytest.approx(np.pi * 12 * 12, rel=0.03)


def test_unlabelled_boxes_of_a_single_label_are_objects_of_it(project: Project) -> None:
    single = CONFIG.replace(ROWS, '<Label value="Disc"/>')
    found = project.snapshot(task(1, unlabelled()), config=single)
    assert found.left_out == [] and found.snapshot.train[0].classes.tolist() == [0]


def test_each_image_of_a_pair_is_an_example(project: Project) -> None:
    left, right = box(0, 0, 50, 50, to_name="a"), box(50, 50, 50, 50, "Box", to_name="b")
    snapshot = project.snapshot(task(1, left, right, left=picture(1), right=picture(2)), config=PAIR).snapshot
    assert [record["image_key"] for record in snapshot.data["images"]] == ["left", "right"]
    assert [snapshot.train[i].classes.tolist() for i in (0, 1)] == [[0], [1]]
    assert [snapshot.train[i].boxes.tolist() for i in (0, 1)] == [[[0, 0, 30, 20]], [[30, 20, 60, 40]]]


def test_percentages_are_of_the_upright_image(project: Project) -> None:
    snapshot = project.snapshot(task(1, box(0, 0, 50, 100), image=picture(1, orientation=6))).snapshot
    assert snapshot.train[0].image.shape == (60, 40, 3)
    assert snapshot.train[0].boxes.tolist() == [[0, 0, 20, 60]]


@pytest.mark.parametrize(
    ("tasks", "config", "says"),
    [
        ([], CONFIG, "no accepted labels"),
        (
            [task(1, image="data:image/png;base64,AAAA")],
            CONFIG,
            "none of the 1 labelled images of project 7 can be used: task 1, image: ",
        ),
        (
            [task(1, unlabelled()), task(2, unlabelled())],
            CONFIG,
            "none of the 2 labelled images of project 7 can be used: task 1, image: region b of 'rect' has no label",
        ),
        (
            [task(1), task(2, unlabelled())],
            CONFIG,
            "none of the 2 labelled images of project 7 shows an object that can be read: task 2, image: region b",
        ),
        ([task(1), task(2)], CONFIG, "shows an object that can be read: all were submitted without a region"),
        ([task(1)], '<View><Image name="image" value="$image"/></View>', "no labels for boxes"),
    ],
    ids=[
        "nothing",
        "broken",
        "unreadable",
        "no object",
        "all empty",
        "config",
    ],
)
def test_where_nothing_is_left_to_learn_from(
    tasks: list[dict[str, Any]], config: str, says: str, project: Project
) -> None:
    with pytest.raises(SnapshotError, match=says) as caught:
        project.snapshot(*tasks, config=config)
    assert "\n" not in str(caught.value)
    assert not (project.folder / "snapshots").exists()


def test_a_damaged_image_in_the_folder_is_fetched_again(project: Project) -> None:
    first = project.snapshot(task(1, box(10, 10, 50, 50))).snapshot
    [file] = (project.folder / "images").iterdir()
    assert json.loads(first.file.read_text())["images"][0]["file_name"] == file.name
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    project.snapshot(task(1, box(10, 10, 50, 50)))
    assert file.read_bytes() == whole


QUALITY = '<Choices name="quality" toName="image" choice="single"><Choice value="good"/><Choice value="bad"/></Choices>'
THINGS = '<Choices name="things" toName="image" choice="multiple"><Choice value="car"/><Choice value="dog"/></Choices>'
CHOICES_ONLY = f'<View><Image name="image" value="$image"/>{QUALITY}{THINGS}</View>'
MIXED = CONFIG.replace("</View>", f"{QUALITY}{THINGS}</View>")


def choice(control: str, *names: str) -> dict[str, Any]:
    value = {"choices": list(names)}
    return {"id": control, "from_name": control, "to_name": "image", "type": "choices", "value": value}


def said(found: ProjectSnapshot) -> dict[int, Any]:
    return {record["task"]: record.get("image_labels") for record in found.snapshot.data["images"]}


def test_choices_are_kept_beside_the_objects(project: Project) -> None:
    found = project.snapshot(
        task(1, box(10, 10, 50, 50), choice("quality", "good"), choice("things", "dog", "car")),
        task(2, choice("quality", "bad")),
        task(3, box(10, 10, 50, 50)),
        config=MIXED,
    )
    assert said(found) == {
        1: {"quality": ["good"], "things": ["dog", "car"]},
        2: {"quality": ["bad"], "things": []},
        3: {"things": []},
    }
    assert found.left_out == [], "choices are no regions of other controls any more"
    assert found.snapshot.data["image_heads"] == [
        {"name": "quality", "classes": ["good", "bad"], "multi_label": False},
        {"name": "things", "classes": ["car", "dog"], "multi_label": True},
    ]
    assert [len(found.snapshot.train[i].boxes) for i in range(3)] == [1, 0, 1]
    assert found.snapshot.data["annotations"] and len(found.snapshot.head_specs) == 2


def test_a_project_of_choices_alone(project: Project) -> None:
    found = project.snapshot(
        task(1, choice("quality", "good")),
        task(2, choice("quality", "gone"), choice("things", "car", "gone")),
        task(3, choice("quality", "gone")),
        task(HELD_OUT, choice("quality", "bad")),
        config=CHOICES_ONLY.replace('choice="multiple"', 'choice="multiple" required="true"'),
    )
    assert said(found) == {1: {"quality": ["good"]}, 2: {"things": ["car"]}, HELD_OUT: {"quality": ["bad"]}}
    assert found.left_out == [
        "task 2, image: 'quality' has no choice 'gone' (any more)",
        "task 2, image: 'things' has no choice 'gone' (any more)",
        "task 3, image: 'quality' has no choice 'gone' (any more)",
    ]
    assert not found.snapshot.data["annotations"] and found.snapshot.labels == ()
    assert [len(found.snapshot.train), len(found.snapshot.holdout)] == [2, 1]


def test_choices_are_learnt_where_no_image_shows_an_object(project: Project) -> None:
    found = project.snapshot(
        task(1, choice("quality", "good")), task(2, choice("quality", "bad")), config=MIXED
    )
    assert found.snapshot.data["annotations"] == [] and len(found.snapshot.train) == 2


def test_an_image_about_which_nothing_is_said_is_left_out(project: Project) -> None:
    found = project.snapshot(task(1, choice("quality", "good")), task(2), config=CHOICES_ONLY)
    assert said(found) == {1: {"quality": ["good"]}}
    assert found.left_out == ["task 2, image: nothing was chosen"]


def test_no_choice_is_none_of_them_from_the_first_answer_on(project: Project) -> None:
    tasks = [task(number, choice("quality", "good")) for number in (1, 2, 3)]
    tasks[1]["annotations"][0]["result"].append(choice("things", "car"))
    for day, one in enumerate(tasks, start=1):
        one["annotations"][0]["updated_at"] = f"2026-05-0{day}T10:00:00Z"
    assert [
        labels.get("things") for labels in said(project.snapshot(*tasks, config=CHOICES_ONLY)).values()
    ] == [
        None,
        ["car"],
        [],
    ]


def test_other_choices_are_another_snapshot(project: Project) -> None:
    digests = {
        project.snapshot(task(1, choice("quality", answer)), config=CHOICES_ONLY).snapshot.digest
        for answer in ("good", "bad", "good")
    }
    assert len(digests) == 2


def test_skipped_choices_are_not_learnt(project: Project) -> None:
    config = MIXED.replace('<Choices name="quality"', '<Choices model_skip="true" name="quality"')
    found = project.snapshot(task(1, box(1, 1, 9, 9), choice("quality", "good")), config=config)
    assert [head["name"] for head in found.snapshot.data["image_heads"]] == ["things"]
    assert said(found) == {1: None}
    assert found.left_out == []


@pytest.mark.parametrize(("away", "is_refused"), [(2, False), (3, True)])
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_label_studio_that_goes_away_while_images_are_fetched_ends_the_snapshot(
    project: Project, server: StandIn, away: int, is_refused: bool, status: int
) -> None:
    """The run is tried again then, rather than to learn from the images that came first."""
    for number in range(1, away + 1):
        path = f"/data/upload/7/{number}.png"
        server.answers(path, Answer({"detail": "away"}, status))
    tasks = [
        task(number, box(0, 0, 50, 50), image=f"/data/upload/7/{number}.png") for number in range(1, away + 1)
    ]
    tasks += [task(number, box(0, 0, 50, 50)) for number in range(10, 20)]
    if is_refused:
        with pytest.raises(SnapshotError, match=f"was away for {away} of the 13 labelled images") as caught:
            project.snapshot(*tasks)
        assert not isinstance(caught.value, NothingToLearn)
    else:
        assert len(project.snapshot(*tasks).left_out) == away
