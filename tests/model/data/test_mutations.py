"""A clean COCO file with anything anywhere: it reads as data that training and evaluation take, or is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_samples import clean, read, write_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fbnetv3.data.coco import CocoError, CocoExamples
from fbnetv3.data.coco_files import CocoDataSet
from fbnetv3.data.snapshot import snapshot_of_coco
from fbnetv3.judging.average_precision import average_precision, with_crowds

NUMBERS = [0, 1, -1, 0.5, 2**31, 2**53, 2**70, 10**400, 1e308, float("nan"), float("inf"), -float("inf")]
TEXTS = [
    "",
    " ",
    "0",
    "1",
    "x",
    "NaN",
    "1e5",
    "\ud800",
    "a\0b",
    "%zz",
    "../../etc/passwd",
    "/etc/passwd",
    "http://[",
]
LISTS = [
    [],
    [[]],
    [[[]]],
    [{}],
    [1, 2],
    [1e300] * 6,
    [float("nan")] * 4,
    [[1, 2], [3, 4], [5, 60]],
    ["1", "2", "3", "4"],
]
RLES = [
    {"size": [128, 160], "counts": counts}
    for counts in ([5], [-1, 128 * 160 + 1], "abc", "b'x'", "\xff", None)
] + [{"counts": "PPYo0"}, {"size": [10**6, 10**6], "counts": [1]}, {"size": ["a", 2], "counts": [1]}]
STRANGE: list[Any] = [None, True, False, *NUMBERS, *TEXTS, *LISTS, *RLES, {}]


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [above] if above else []
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return found + [place for key in list(keys)[:8] for place in places(value[key], (*above, key))]


def at(data: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        data = data[key]
    return data


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = copy.deepcopy(SAMPLE)
    for _ in range(draw(st.integers(1, 4))):
        everywhere = places(data)
        if not everywhere:
            break
        *above, last = draw(st.sampled_from(everywhere))
        holder = at(data, tuple(above))
        match draw(st.sampled_from(["delete", "again", "text", "move", "strange", "strange", "strange"])):
            case "delete":
                del holder[last]
            case "again" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[last]))
            case "text":
                holder[last] = str(holder[last])
            case "move":
                holder[last] = copy.deepcopy(at(data, draw(st.sampled_from(everywhere))))
            case _:
                holder[last] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"]))
    raw = json.dumps(data).encode(encoding)
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 9)) == 0 else raw


SAMPLE = clean()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_images(folder)
    return folder


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(mutated(), st.booleans())
def test_it_reads_as_clean_data_or_is_refused_in_a_sentence(folder: Path, raw: bytes, strict: bool) -> None:
    try:
        found = read(folder, raw, strict=strict)
        check_is_clean(found)
        snapshot_of_coco(found).digest  # noqa: B018
    except CocoError as error:
        assert "\n" not in str(error)


def check_is_clean(found: CocoDataSet) -> None:
    json.dumps(found.data)
    for line in (*found.repaired, *found.left_out):
        line.encode()
    ids = [label["id"] for label in found.data["annotations"]]
    assert len(set(ids)) == len(ids) and all(0 < id_ < 2**53 for id_ in ids)
    for example in CocoExamples(found.data, found.images, with_empty=True):
        height, width = example.image.shape[:2]
        assert np.isfinite(example.boxes).all() and (example.boxes >= 0).all()
        assert (example.boxes[:, 2:] > example.boxes[:, :2]).all()
        assert (example.boxes[:, 2:] <= (width, height)).all()
    if found.objects:
        perfect = [
            {key: label[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
            for label in found.data["annotations"]
        ]
        assert average_precision(found.data, perfect, "bbox").AP > 0.99
        average_precision(with_crowds(found.data), [], "segm")
