"""The tables of label_errors.py: means over the seeds, set by set."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from fbnetv3.overlap import box_iou
from fbnetv3.review import LabelIssue, find_label_issues
from fbnetv3.review.likelihoods import LIKELIHOODS, Likelihoods
from measuring.injection import KIND_OF, Error, Injected
from measuring.label_error_figures import FIRST, Figures, figures, right
from measuring.label_error_fit import Seen, fit
from measuring.label_error_methods import OTHERS
from measuring.sheets import Sheet

ERRORS: tuple[Error | None, ...] = (*get_args(Error), None)
NO_KIND = {("ObjectLab", "add"), ("ObjectLab, low thresholds", "add")}
"""Errors that a method has no score for."""

SURE = 0.5
"""Findings from this confidence on are those of which the share that is right is told."""


def precision_sheet(seen: Sequence[Seen]) -> Sheet:
    """Average precision / precision of the first findings, by error; the last column ranks all kinds together."""
    sheet = Sheet(
        f"Average precision / precision of the first {FIRST} findings (fewer where there are fewer errors)",
        ("data", "seeds", "method", *(error or "all together" for error in ERRORS)),
    )
    for data in dict.fromkeys(one.data for one in seen):
        of_set = [one for one in seen if one.data == data]
        for method, rankings in _rankings(of_set, seen):
            cells = (_cell(method, error, of_set, rankings) for error in ERRORS)
            sheet.add(data, len(of_set), method, *cells)
    return sheet


def corrections_sheet(seen: Sequence[Seen]) -> Sheet:
    """What the findings are worth to people who follow them."""
    sheet = Sheet(
        "Findings that one would follow",
        (
            "data",
            "errors",
            f"findings from {SURE} on",
            "of them right",
            "right label",
            "box IoU before",
            "after",
        ),
    )
    for data in dict.fromkeys(one.data for one in seen):
        of_set = [one for one in seen if one.data == data]
        likelihoods = _fitted_elsewhere(data, seen)
        found = [find_label_issues(one.spoilt, one.predictions, likelihoods=likelihoods) for one in of_set]
        sheet.add(data, *_worth(of_set, found))
    return sheet


def _worth(of_set: Sequence[Seen], rankings: Sequence[Sequence[LabelIssue]]) -> tuple[float | None, ...]:
    """Numbers per seed; whether a swapped label's correction is right, and what a shifted box's gains."""
    counts, labels, ious = [], [], []
    for one, found in zip(of_set, rankings, strict=True):
        sure = [finding for finding in found if finding.confidence >= SURE]
        counts.append((*right(sure, one.spoilt.errors), len(one.spoilt.errors)))
        for finding, error in _explained(sure, one):
            if error.error == "swap":
                labels.append(finding.label == error.label)
            elif error.error == "shift" and finding.box is not None:
                given = one.spoilt[error.image].boxes[finding.objects[0]]
                ious.append(box_iou(np.stack([given, finding.box]), error.box[None])[:, 0])
    hits, findings, errors = np.mean(counts, 0)
    before, after = np.mean(ious, 0) if ious else (None, None)
    correct = float(np.mean(labels)) if labels else None
    return errors, findings, hits / max(findings, 1), correct, before, after


def _explained(found: Sequence[LabelIssue], one: Seen) -> Iterator[tuple[LabelIssue, Injected]]:
    """Findings about wrong objects that say rightly what is wrong with them."""
    errors = {(e.image, e.object): e for e in one.spoilt.errors if e.object is not None}
    for finding in found:
        error = errors.get((finding.image, finding.objects[0])) if finding.objects else None
        if error is not None and KIND_OF[error.error] == finding.kind:
            yield finding, error


def _rankings(of_set: Sequence[Seen], seen: Sequence[Seen]) -> Iterator[tuple[str, list[list[LabelIssue]]]]:
    likelihoods = _fitted_elsewhere(of_set[0].data, seen)
    yield (
        "prelabel",
        [find_label_issues(one.spoilt, one.predictions, likelihoods=likelihoods, least=0) for one in of_set],
    )
    for name, method in OTHERS.items():
        if name.startswith("ObjectLab") and importlib.util.find_spec("cleanlab") is None:
            continue
        yield name, [method(one.spoilt, one.predictions) for one in of_set]


def _fitted_elsewhere(data: str, seen: Sequence[Seen]) -> Likelihoods:
    """Weights that have not seen this set; with no other set, those that are shipped."""
    others = [one for one in seen if one.data != data]
    return fit(others) if others else LIKELIHOODS


def _cell(
    method: str, error: Error | None, of_set: Sequence[Seen], rankings: Sequence[list[LabelIssue]]
) -> str:
    of_seeds = [figures(found, one.spoilt.errors, error) for one, found in zip(of_set, rankings, strict=True)]
    if (method, error) in NO_KIND or not any(one.errors for one in of_seeds):
        return "-"
    return f"{_mean(of_seeds, 'average_precision')} / {_mean(of_seeds, 'precision')}"


def _mean(of_seeds: Sequence[Figures], name: str) -> str:
    return f"{np.mean([getattr(one, name) for one in of_seeds]):.2f}"
