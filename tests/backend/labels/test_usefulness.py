"""Live usefulness: every way in which a prediction becomes an annotation is counted as what it was."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from typer.testing import CliRunner, Result

from fbnetv3.judging.effort import Effort
from prelabel.cli import app
from prelabel.labels.edits import Edits, count_edits
from prelabel.labels.usefulness import effort_of, usefulness
from prelabel.settings import load_settings

V1, V2 = "p7-v1", "p7-v2"
EFFORT = Effort(check=1, correct_box=10, correct_mask=100, draw_box=20, draw_mask=200, delete=5)


def box(region_id: str | None, x: float, **fields: Any) -> dict[str, Any]:
    value = {"x": x, "y": 5.0, "width": 10.0, "height": 20.0, "rotation": 0, "rectanglelabels": ["Disc"]}
    return {"id": region_id, "type": "rectanglelabels", "from_name": "rect", "value": value, **fields}


def mask(region_id: str, *rle: int, **fields: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": list(rle), "brushlabels": ["Disc"]}
    return {"id": region_id, "type": "brushlabels", "from_name": "brush", "value": value, **fields}


PREDICTION = [box("a", 1), box("b", 2), box("c", 3), mask("d", 0, 1, 2), mask("e", 3, 4, 5)]


def counts(edits: Edits) -> list[dict[str, int]]:
    return [dict(edits.kept), dict(edits.changed), dict(edits.added), dict(edits.deleted)]


def test_what_the_editor_marked_counts_as_marked():
    annotation = [
        box("a", 1, origin="prediction"),
        box("b", 9, origin="prediction-changed"),
        mask("d", 0, 1, 2, origin="prediction"),
        mask("e", 9, 9, origin="prediction-changed"),
        box("new", 4, origin="manual"),
        mask("newer", 7, origin="manual"),
    ]
    assert counts(count_edits(annotation, PREDICTION)) == [
        {"box": 1, "mask": 1},
        {"box": 1, "mask": 1},
        {"box": 1, "mask": 1},
        {"box": 1},
    ]


def test_new_ids_from_the_editor_delete_nothing():
    annotation = [
        copy.deepcopy(one) | {"id": f"new-{one['id']}", "origin": "prediction"} for one in PREDICTION
    ]
    assert counts(count_edits(annotation, PREDICTION)) == [{"box": 3, "mask": 2}, {}, {}, {}]


def test_a_bulk_accept_leaves_no_origin_and_keeps_everything():
    assert counts(count_edits(copy.deepcopy(PREDICTION), PREDICTION)) == [{"box": 3, "mask": 2}, {}, {}, {}]


def test_a_bulk_accept_that_was_edited_later_is_told_by_the_ids():
    moved = mask("e", 3, 4, 6, origin="manual")
    annotation = [box("a", 1.004, origin="manual"), box("b", 2.5, origin="manual"), moved, box("z", 1)]
    assert counts(count_edits(annotation, PREDICTION)) == [
        {"box": 1},
        {"box": 1, "mask": 1},
        {"box": 1},
        {"box": 1, "mask": 1},
    ]


def test_another_label_is_a_change():
    relabelled = box("a", 1)
    relabelled["value"]["rectanglelabels"] = ["Box"]
    assert counts(count_edits([relabelled], [box("a", 1)])) == [{}, {"box": 1}, {}, {}]


def test_a_shape_with_its_labels_apart_is_one_region():
    def pair(x: float, label: str, **fields: Any) -> list[dict[str, Any]]:
        shape = box("a", x, **fields) | {"type": "rectangle"}
        return [shape, {"id": "a", "type": "labels", "value": shape["value"] | {"labels": [label]}, **fields}]

    assert counts(count_edits(pair(1, "Disc"), pair(1, "Disc"))) == [{"box": 1}, {}, {}, {}]
    assert counts(count_edits(pair(1, "Box"), pair(1, "Disc"))) == [{}, {"box": 1}, {}, {}]


def test_ellipses_take_as_long_as_boxes_and_bitmasks_as_masks():
    def oval(x: float, **fields: Any) -> dict[str, Any]:
        value = {"x": x, "y": 5.0, "radiusX": 10.0, "radiusY": 20.0, "rotation": 0, "ellipselabels": ["Disc"]}
        return {"id": "o", "type": "ellipselabels", "value": value, **fields}

    def png(content: str, **fields: Any) -> dict[str, Any]:
        value = {"imageDataURL": f"data:image/png;base64,{content}", "bitmasklabels": ["Disc"]}
        return {"id": "p", "type": "bitmasklabels", "value": value, **fields}

    prediction = [oval(1), png("AAAA")]
    assert counts(count_edits(prediction, prediction)) == [{"box": 1, "mask": 1}, {}, {}, {}]
    assert counts(count_edits([oval(2), png("BBBB")], prediction)) == [{}, {"box": 1, "mask": 1}, {}, {}]
    edited = [oval(1, origin="prediction-changed"), png("AAAA", id="new", origin="manual")]
    assert counts(count_edits(edited, prediction)) == [{}, {"box": 1}, {"mask": 1}, {"mask": 1}]


def test_what_is_no_region_does_not_count():
    others = [
        {"id": "q", "type": "choices", "value": {"choices": ["blurred"]}, "origin": "manual"},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"id": "k", "type": "keypointlabels", "value": {"x": 1}},
    ]
    assert counts(count_edits([*others, box(None, 1), box(None, 2)], others)) == [{}, {}, {"box": 2}, {}]


def test_seconds_are_those_of_the_actions():
    annotation = [
        box("a", 1, origin="prediction"),
        box("b", 9, origin="prediction-changed"),
        mask("e", 9, origin="prediction-changed"),
        box("new", 4),
        mask("newer", 7),
    ]
    edits = count_edits(annotation, PREDICTION)
    assert edits.seconds_with(EFFORT) == 1 + 10 + 100 + 20 + 200 + 2 * 5
    assert edits.seconds_without(EFFORT) == 3 * 20 + 2 * 200
    assert edits.no_edit_share == 1 / 5
    assert Edits().no_edit_share is None
    assert (edits + edits).seconds_with(EFFORT) == 2 * edits.seconds_with(EFFORT)


@pytest.fixture
def annotated(studio: LabelStudioStandIn) -> LabelStudioStandIn:
    """Two annotations of a prediction of V1 (one bulk-accepted), one of V2, one by hand, one skipped, one orphan."""
    numbers = count(1000)

    def annotation(result: list, parent: int | None, **fields: Any) -> dict[str, Any]:
        fields = {"id": next(numbers), "was_cancelled": False, "prediction": {}} | fields
        return {"result": result, "parent_prediction": parent, **fields}

    first, second, third, fourth, fifth = studio.add_tasks(*"abcde")
    old, new = studio.add_prediction(first, V1), studio.add_prediction(third, V2)
    for prediction in (old, new):
        studio.predictions[prediction]["result"] = PREDICTION
    studio.tasks[first]["annotations"] = [annotation([box("a", 1, origin="prediction")], old)]
    copied = {"id": 77, "model_version": V1, "result": [box("a", 1)]}
    studio.tasks[second]["annotations"] = [annotation([box("a", 1)], 77, prediction=copied)]
    other = copied | {"id": 78, "result": []}
    studio.tasks[third]["annotations"] = [annotation([box("n", 1, origin="manual")], new, prediction=other)]
    studio.tasks[fourth]["annotations"] = [
        annotation([box("h", 1)], None),
        annotation([], old, was_cancelled=True),
    ]
    studio.tasks[fifth]["annotations"] = [annotation([box("o", 1, origin="prediction")], 4711)]
    return studio


def test_annotations_count_for_the_version_they_were_made_from(annotated):
    found = usefulness(annotated.client(), PROJECT, EFFORT)
    assert list(found.versions) == [V1, V2, "prediction was removed"]
    assert found.versions[V1].annotations == 2
    assert counts(found.versions[V1]) == [{"box": 2}, {}, {}, {"box": 2, "mask": 2}]
    assert counts(found.versions[V2]) == [{}, {}, {"box": 1}, {"box": 3, "mask": 2}]
    assert counts(found.versions["prediction was removed"]) == [{"box": 1}, {}, {}, {}]
    assert found.by_hand == 1
    assert annotated.writes == []


def test_provisional_versions_count_together(annotated):
    for row in annotated.predictions.values():
        row["model_version"] = {V1: "p7-provisional-3", V2: "p7-provisional-12"}[row["model_version"]]
    found = usefulness(annotated.client(), PROJECT, EFFORT)
    assert found.versions["p7-provisional"].annotations == 2
    assert list(found.versions) == ["p7-provisional", V1, "prediction was removed"]


@pytest.fixture
def stats(annotated, bare_environment, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", annotated.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["stats", "--project", str(PROJECT), *arguments])

    return run


def test_the_command_shows_and_writes_the_figures(stats, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PRELABEL_SECONDS_DRAW_BOX", "50")
    result = stats("--json", str(tmp_path / "stats.json"))
    assert result.exit_code == 0, result.output
    assert V1 in result.output
    assert "made from no prediction: 1" in result.output
    written = json.loads((tmp_path / "stats.json").read_text())
    assert written["versions"][V1]["seconds_without"] == 100
    assert written["versions"][V1]["seconds"] == 2 * 2.0 + 4 * 3.0
    assert written["seconds_per_action"]["draw_box"] == 50


def test_a_project_that_is_not_there_is_one_sentence(annotated, stats):
    annotated.refuse(f"GET /api/projects/{PROJECT}/export", 404)
    result = stats()
    assert result.exit_code == 1
    assert "refused" in result.stderr
    assert "Traceback" not in result.output


def test_the_settings_default_to_the_documented_seconds(bare_environment):
    assert asdict(effort_of(load_settings())) == asdict(Effort())
