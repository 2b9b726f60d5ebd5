"""What people decided about findings, applied to those of a new review; and where decisions are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fbnetv3.files import write_whole
from fbnetv3.overlap import box_iou
from prelabel.review.findings import Box, Decision, ReviewError, ReviewFinding
from prelabel.review.subjects import Subjects, box_of
from prelabel.store.database import Database
from prelabel.store.review_decisions import decide_finding, keep_findings, review_findings

SAME_PLACE_IOU = 0.5
"""From which two boxes of what was overlooked in an image mean one object: another version draws it elsewhere."""

FINDINGS, DECISIONS = "findings.json", "decisions.json"


@dataclass(frozen=True, eq=False)
class Remembered:
    """A finding of an earlier review; `decision`: None where nobody decided. `is_current`: the last one reported it."""

    finding: ReviewFinding
    decision: Decision | None
    is_current: bool = True


class Memory(Protocol):
    """Where the last review's findings and all decisions are kept."""

    def recall(self) -> dict[str, Remembered]:
        """By their ids."""

    def keep(self, findings: Sequence[ReviewFinding]) -> None:
        """These are the findings of the last review from now on."""

    def decide(self, finding_id: str, decision: Decision) -> None:
        """Raises ReviewError where nothing is known of this id."""


@dataclass(frozen=True)
class StoreMemory:
    """In the store, for a project."""

    database: Database
    project_id: int

    def recall(self) -> dict[str, Remembered]:
        """See Memory."""
        rows = review_findings(self.database, self.project_id)
        return {row.finding_id: _remembered(row.record, row.decision, row.is_current) for row in rows}

    def keep(self, findings: Sequence[ReviewFinding]) -> None:
        """See Memory."""
        keep_findings(self.database, self.project_id, {one.id: one.as_dict() for one in findings})

    def decide(self, finding_id: str, decision: Decision) -> None:
        """See Memory."""
        if not decide_finding(self.database, self.project_id, finding_id, decision):
            raise ReviewError(_unknown(finding_id, f"project {self.project_id}"))


@dataclass(frozen=True)
class FolderMemory:
    """In files beside a report: decisions.json, and the report's own findings.json."""

    folder: Path

    def recall(self) -> dict[str, Remembered]:
        """See Memory. Raises ReviewError for a file that is not what this wrote."""
        undecided = {record["id"]: _remembered(record, None) for record in self._reported()}
        decided = self._decided()
        return undecided | {key: _remembered(one["finding"], one["decision"]) for key, one in decided.items()}

    def keep(self, findings: Sequence[ReviewFinding]) -> None:
        """Nothing: the report holds them."""

    def decide(self, finding_id: str, decision: Decision) -> None:
        """See Memory."""
        known = {record["id"]: record for record in self._reported()}
        decided = self._decided()
        if finding_id not in known and finding_id not in decided:
            raise ReviewError(_unknown(finding_id, str(self.folder)))
        record = known.get(finding_id) or decided[finding_id]["finding"]
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        decided[finding_id] = {"decision": decision, "decided_at": moment, "finding": record}
        content = json.dumps({"decisions": decided}, indent=1, ensure_ascii=False)
        write_whole(content.encode(), self.folder / DECISIONS)

    def _reported(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._read(FINDINGS).get("findings", [])
        return found

    def _decided(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._read(DECISIONS).get("decisions", {})
        return found

    def _read(self, name: str) -> dict[str, Any]:
        file = self.folder / name
        try:
            content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        except OSError as error:
            raise ReviewError(f"cannot read {file}: {error.strerror or error}") from None
        except ValueError:
            raise ReviewError(f"{file} is not JSON") from None
        if not isinstance(content, dict):
            raise ReviewError(f"{file} was not written by `prelabel review`")
        return content


def with_decisions(
    found: Sequence[ReviewFinding], remembered: Mapping[str, Remembered], subjects: Subjects
) -> list[ReviewFinding]:
    """The findings without the dismissed ones, the accepted ones marked; with those that were accepted, whose label is
    as it was then, and that this review does not find any more. The surest first.
    """
    missing = [one for one in remembered.values() if not one.finding.objects]
    kept: dict[str, ReviewFinding] = {}
    for finding in found:
        known = remembered.get(finding.id) or _at_the_same_place(finding, missing)
        if known is None:
            kept.setdefault(finding.id, finding)
        elif known.decision != "dismissed":
            same = replace(finding, id=known.finding.id, decision=known.decision)
            kept.setdefault(same.id, same)
    for one in _not_corrected(remembered.values(), subjects):
        kept.setdefault(one.id, one)
    return sorted(kept.values(), key=lambda finding: -finding.confidence)


def _at_the_same_place(finding: ReviewFinding, missing: Sequence[Remembered]) -> Remembered | None:
    """What was said before about an object that was overlooked here; a decision first."""
    if finding.objects or finding.box is None:
        return None
    here = [
        one
        for one in missing
        if (one.finding.image_ref.key, one.finding.source) == (finding.image_ref.key, finding.source)
        and one.finding.box is not None
        and _iou(one.finding.box, finding.box) >= SAME_PLACE_IOU
    ]
    return min(here, key=lambda one: one.decision is None, default=None)


def _not_corrected(remembered: Iterable[Remembered], subjects: Subjects) -> Iterator[ReviewFinding]:
    index_of = {image_ref.key: index for index, image_ref in enumerate(subjects.image_refs)}
    for one in remembered:
        finding, index = one.finding, index_of.get(one.finding.image_ref.key)
        if one.decision != "accepted" or index is None or finding.source != "annotation":
            continue
        if finding.objects:
            digests = subjects.digests(index)
            if set(finding.content) <= set(digests):
                objects = tuple(digests.index(digest) for digest in finding.content)
                yield replace(finding, objects=objects, decision="accepted")
        elif finding.box is not None and not _has_object_at(subjects, index, finding.box):
            yield replace(finding, decision="accepted")


def _has_object_at(subjects: Subjects, index: int, box: Box) -> bool:
    return any(_iou(box_of(record), box) >= SAME_PLACE_IOU for record in subjects.objects(index))


def _iou(one: Box, other: Box) -> float:
    return float(box_iou(np.array([one], np.float64), np.array([other], np.float64))[0, 0])


def _remembered(record: Mapping[str, Any], decision: Any, is_current: bool = True) -> Remembered:
    return Remembered(ReviewFinding.from_dict(record), decision, is_current)


def _unknown(finding_id: str, where: str) -> str:
    return f"the last review of {where} has no finding {finding_id!r}: `prelabel review` lists them"
