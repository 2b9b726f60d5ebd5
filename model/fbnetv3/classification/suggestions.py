"""Which classes of a whole image are suggested: of a single choice the likeliest, of a multiple one every class."""

from __future__ import annotations

from collections.abc import Mapping

#: Choosing and taking back cost one click each, so a class that is more likely right than wrong saves clicks and any
#: other one costs some. (A box is different: drawing costs more than deleting.)
SUGGESTION_THRESHOLD = 0.5


def suggested(probabilities: Mapping[str, float], threshold: float, multi_label: bool) -> dict[str, float]:
    """Those of the classes that reach `threshold`, with their probabilities; of a single choice one at most."""
    likely = {name: p for name, p in probabilities.items() if p >= threshold}
    if multi_label or not likely:
        return likely
    best = max(likely, key=lambda name: likely[name])
    return {best: likely[best]}
