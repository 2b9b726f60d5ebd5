"""Images first that stand for much editing: like many others whose pre-labels a person would edit long.

Representative with the expected seconds of editing for weights: a typical image counts as much as there is to be done
in the images that it is like. While the detector knows none of the labels there is nothing to expect, and all
images count the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fbnetv3.active_learning.expected_edits import ExpectedEdits
from fbnetv3.active_learning.images import PoolImage
from fbnetv3.active_learning.representative import Representative


@dataclass(frozen=True)
class RepresentativeEdits(Representative):
    """`edits`: what expects the seconds."""

    edits: ExpectedEdits = field(default_factory=ExpectedEdits)

    name = "representative_edits"

    def worth(self, image: PoolImage) -> float:
        """The seconds."""
        return self.edits.seconds(image)
