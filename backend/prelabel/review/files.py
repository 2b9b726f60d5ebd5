"""A review as files: findings.json, findings.csv and review.html in a folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fbnetv3.files import write_whole
from prelabel.review.decisions import FINDINGS
from prelabel.review.findings import Box, ReviewFinding
from prelabel.review.page import review_page
from prelabel.review.review import Review

CSV, PAGE = "findings.csv", "review.html"

COLUMNS = (
    "id",
    "kind",
    "confidence",
    "source",
    "decision",
    "task",
    "image",
    "made_in",
    "regions",
    "labels",
    "boxes",
    "correction",
    "suggested_label",
    "suggested_box",
    "link",
)

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula: text that begins so gets an apostrophe."""

LinkOf = Callable[[ReviewFinding], str | None]
"""The address of a finding's task, None where there is none."""


def write_review(review: Review, folder: Path, link_of: LinkOf, on_picture: Callable[[], None]) -> list[Path]:
    """Write the three files; their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        FINDINGS: as_json(review, link_of),
        CSV: as_csv(review, link_of),
        PAGE: review_page(review, link_of, on_picture),
    }
    for name, text in contents.items():
        write_whole(text.encode(), folder / name)
    return [folder / name for name in contents]


def as_json(review: Review, link_of: LinkOf) -> str:
    """The whole review."""
    findings = [one.as_dict() | {"link": link_of(one)} for one in review.findings]
    content = {
        "reviewed": review.title,
        "judged": review.judged,
        "by": review.by,
        "notes": review.notes,
        "findings": findings,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_csv(review: Review, link_of: LinkOf) -> str:
    """A row per finding; several regions, labels or boxes are separated by spaces, commas and semicolons."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    for finding in review.findings:
        rows.writerow([_cell(value) for value in _row(finding, link_of(finding))])
    return stream.getvalue()


def _row(finding: ReviewFinding, link: str | None) -> list[Any]:
    return [
        finding.id,
        finding.kind,
        finding.confidence,
        finding.source,
        finding.decision,
        finding.image_ref.task,
        finding.image_ref.file if finding.image_ref.task is None else finding.image_ref.image_key,
        finding.made_in,
        " ".join(finding.regions),
        ", ".join(finding.labels),
        "; ".join(map(_numbers, finding.boxes)),
        finding.correction,
        finding.label,
        _numbers(finding.box) if finding.box else None,
        link,
    ]


def _numbers(box: Box) -> str:
    return " ".join(f"{side:.1f}" for side in box)


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
