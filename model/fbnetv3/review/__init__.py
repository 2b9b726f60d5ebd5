"""Labels that look wrong, against a model that has not trained on them; pre-labels before they are accepted in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fbnetv3.review.annotations import find_label_issues
from fbnetv3.review.label_issues import IssueKind, LabelIssue
from fbnetv3.review.pre_labels import review_predictions
from fbnetv3.review.predictions import OutOfFold, held_out, predict_held_out

if TYPE_CHECKING:
    from fbnetv3.review.cross_fitting import out_of_fold

__all__ = [
    "IssueKind",
    "LabelIssue",
    "OutOfFold",
    "find_label_issues",
    "held_out",
    "out_of_fold",
    "predict_held_out",
    "review_predictions",
]


def __getattr__(name: str) -> Any:
    """Imported when asked for: it trains, and PyTorch takes seconds to load."""
    if name == "out_of_fold":
        from fbnetv3.review.cross_fitting import out_of_fold

        return out_of_fold
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
