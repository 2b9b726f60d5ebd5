"""How much editing predictions spare: what people did to them, read from Label Studio, by model version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from fbnetv3.judging.effort import Effort
from prelabel.labels.edits import Edits, count_edits
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings
from prelabel.store.provisional import NAME as PROVISIONAL

UNNAMED = "without a version"
GONE = "prediction was removed"


@dataclass(frozen=True)
class Usefulness:
    """`versions`: version -> what people did to its predictions, oldest first. `by_hand`: annotations that were made
    from no prediction. `effort`: the seconds that the estimates take.
    """

    versions: dict[str, Edits]
    by_hand: int
    effort: Effort

    def as_dict(self) -> dict[str, Any]:
        """For JSON; times in seconds."""
        return {
            "versions": {name: _figures(edits, self.effort) for name, edits in self.versions.items()},
            "annotations_by_hand": self.by_hand,
            "seconds_per_action": asdict(self.effort),
        }


def effort_of(settings: Settings) -> Effort:
    """The seconds per action of the settings."""
    return Effort(
        check=settings.prelabel_seconds_check,
        correct_box=settings.prelabel_seconds_correct_box,
        correct_mask=settings.prelabel_seconds_correct_mask,
        draw_box=settings.prelabel_seconds_draw_box,
        draw_mask=settings.prelabel_seconds_draw_mask,
        delete=settings.prelabel_seconds_delete,
    )


def usefulness(client: LabelStudioClient, project_id: int, effort: Effort) -> Usefulness:
    """What became of the predictions that the project's submitted annotations were made from. A request for every
    one whose prediction does not come with it. Raises LabelStudioError.
    """
    counted: dict[str, Edits] = {}
    by_hand = 0
    for annotation in submitted(client.export(project_id)):
        parent = annotation.get("parent_prediction")
        if parent is None:
            by_hand += 1
            continue
        prediction = _prediction(client, annotation, parent)
        version = _shown_version(prediction["model_version"]) if prediction else GONE
        edits = count_edits(_regions(annotation), _regions(prediction or {}))
        counted[version] = counted.get(version, Edits()) + edits
    return Usefulness(counted, by_hand, effort)


def submitted(tasks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The annotations of exported tasks that somebody submitted, oldest first; skipped ones are not."""
    annotations = (annotation for task in tasks for annotation in task["annotations"])
    yield from sorted(
        (annotation for annotation in annotations if not annotation.get("was_cancelled")),
        key=lambda annotation: annotation["id"],
    )


def duration(seconds: float) -> str:
    """Such as 1:05 h or 0:40 min; negative where predictions cost more than they spared."""
    sign, whole = "-" if round(seconds) < 0 else "", abs(round(seconds))
    if whole >= 3600:
        return f"{sign}{whole // 3600}:{whole % 3600 // 60:02} h"
    return f"{sign}{whole // 60}:{whole % 60:02} min"


def _prediction(
    client: LabelStudioClient, annotation: Mapping[str, Any], prediction_id: int
) -> Mapping[str, Any] | None:
    """The prediction with `model_version` and `result`; None where it is gone.

    Label Studio keeps with most annotations a copy of a prediction, mostly of the one that they were made from.
    """
    copied = annotation.get("prediction") or {}
    if copied.get("id") == prediction_id and isinstance(copied.get("result"), list):
        return copied
    try:
        return client.prediction(prediction_id)
    except LabelStudioError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _shown_version(version: str | None) -> str:
    """Provisional versions count together: there is one with every label."""
    match = PROVISIONAL.fullmatch(version or "")
    return f"p{match['project']}-provisional" if match else version or UNNAMED


def _regions(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [region for region in of.get("result") or [] if isinstance(region, dict)]


def _figures(edits: Edits, effort: Effort) -> dict[str, Any]:
    taken, from_nothing = edits.seconds_with(effort), edits.seconds_without(effort)
    return {
        "annotations": edits.annotations,
        **{fate: dict(getattr(edits, fate)) for fate in ("kept", "changed", "added", "deleted")},
        "no_edit_share": edits.no_edit_share,
        "seconds": taken,
        "seconds_without": from_nothing,
        "seconds_saved": from_nothing - taken,
    }
