"""Equal names of labels, and labels in the spelling of others."""

from __future__ import annotations

import pytest

from fbnetv3.data.label_names import folded, in_spelling_of
from fbnetv3.finetuning.start import sources_by_name


@pytest.mark.parametrize(("one", "other"), [("Apple", " apple "), ("STRASSE", "straße"), ("e\u0301", "É")])
def test_equal_names(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("wanted", "labels", "spelled"),
    [
        (["APPLE", "pear"], ["apple", "pear", "fig"], ("APPLE", "pear", "fig")),
        (["APPLE"], ["apple", "APPLE"], ("apple", "APPLE")),
        (["APPLE"], ["apple", "Apple"], ("APPLE", "Apple")),
        (["Apple", "APPLE"], ["apple"], ("Apple",)),
        ([], ["apple"], ("apple",)),
    ],
)
def test_in_the_spelling_of_others(wanted: list[str], labels: list[str], spelled: tuple[str, ...]) -> None:
    assert in_spelling_of(wanted, labels) == spelled


def test_a_label_begins_as_the_one_of_its_name() -> None:
    start = ["apple", "Pear", "pear"]
    assert sources_by_name([" APPLE", "pear", "fig"], start) == {
        " APPLE": ["apple"],
        "pear": ["pear"],
        "fig": [],
    }
