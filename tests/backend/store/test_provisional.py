"""Which projects want a provisional version, as the store alone says, and which one they have."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from version_samples import store_version

from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.events import record_event
from prelabel.store.label_counts import note_change, note_project
from prelabel.store.promotions import add_promotion
from prelabel.store.provisional import (
    TO_BE_READ_AGAIN,
    LabelsRead,
    ProvisionalVersion,
    find_provisional,
    given_names,
    kept_files,
    label_changes,
    labelled_when_read,
    note_read,
    projects_to_make,
    provisional_version,
    provisional_versions,
    put_version,
)

PROJECT, OTHER = 7, 8


def tell(database: Database, action: str, number: int = 0, project: int = PROJECT) -> None:
    payload: dict[str, Any] = {"action": action, "annotation": {"id": number}, "project": {"id": project}}
    record_event(database, json.dumps(payload), payload)


def make(database: Database, number: int = 1, project: int = PROJECT, changes: int | None = None) -> None:
    version = ProvisionalVersion(
        project, number, "5" * 64, "starter-1", ("a", "b"), 2, "f" * 64, datetime.now(UTC)
    )
    read = LabelsRead(label_changes(database, project) if changes is None else changes, 2)
    put_version(database, version, f"{version.name}-555555555555.safetensors", read)


@pytest.mark.parametrize(
    ("action", "is_due"),
    [
        ("ANNOTATION_CREATED", True),
        ("ANNOTATIONS_CREATED", True),
        ("ANNOTATION_UPDATED", True),
        ("ANNOTATIONS_DELETED", True),
        ("TASKS_DELETED", True),
        ("PROJECT_UPDATED", True),
        ("TASKS_CREATED", False),
        ("START_TRAINING", False),
    ],
)
def test_what_changes_labels_makes_a_version_due(database: Database, action: str, is_due: bool) -> None:
    note_project(database, OTHER)
    tell(database, action)
    assert projects_to_make(database) == ({PROJECT: 1} if is_due else {})


def test_labels_that_were_read_are_due_no_more_and_the_next_one_is(database: Database) -> None:
    tell(database, "ANNOTATION_CREATED", 1)
    make(database)
    assert projects_to_make(database) == {}
    tell(database, "ANNOTATION_CREATED", 1)  # the same delivery once more
    assert projects_to_make(database) == {}
    tell(database, "ANNOTATION_CREATED", 2)
    assert projects_to_make(database) == {PROJECT: 2}


def test_a_label_that_came_while_labels_were_read_is_due(database: Database) -> None:
    tell(database, "ANNOTATION_CREATED", 1)
    tell(database, "ANNOTATION_CREATED", 2)
    make(database, changes=1)
    assert projects_to_make(database) == {PROJECT: 2}


def test_what_no_webhook_told_of_is_due_once_it_is_noted(database: Database) -> None:
    note_project(database, PROJECT)
    assert projects_to_make(database) == {}
    note_change(database, PROJECT)
    assert projects_to_make(database) == {PROJECT: 1}


def test_labels_that_could_not_all_be_read_stay_due(database: Database) -> None:
    tell(database, "ANNOTATION_CREATED")
    make(database, changes=TO_BE_READ_AGAIN)
    assert projects_to_make(database) == {PROJECT: 1}
    assert provisional_version(database, PROJECT) is not None


def test_a_promotion_ends_it_and_a_rejected_candidate_does_not(
    database: Database, tmp_path: Any, bare_environment: None
) -> None:
    settings = load_settings(prelabel_home=tmp_path)
    tell(database, "ANNOTATION_CREATED", 1)
    make(database)
    make(database, project=OTHER)
    tell(database, "ANNOTATION_CREATED", 2)
    store_version(settings, database, 1, project_id=PROJECT, promoted=False)
    assert provisional_version(database, PROJECT) and projects_to_make(database) == {PROJECT: 2}
    add_promotion(database, PROJECT, store_version(settings, database, 2, project_id=PROJECT), "better")
    assert provisional_version(database, PROJECT) is None and projects_to_make(database) == {}
    assert [version.project_id for version in provisional_versions(database)] == [OTHER]
    add_promotion(database, PROJECT, None, "rolled back to the base weights, which is meant")
    assert provisional_version(database, PROJECT) is None and projects_to_make(database) == {}


def test_numbers_and_names_go_on_where_there_is_nothing_to_learn_for_a_while(database: Database) -> None:
    make(database, 1)
    note_read(database, PROJECT, LabelsRead(5, 0), has_labels=False)
    assert provisional_version(database, PROJECT) is None
    assert given_names(database, PROJECT) == ["p7-provisional-1"]
    make(database, 2)
    assert given_names(database, PROJECT) == ["p7-provisional-1", "p7-provisional-2"]
    assert kept_files(database, PROJECT) == [
        f"p7-provisional-{number}-555555555555.safetensors" for number in (1, 2)
    ]


def test_what_is_known_of_a_version(database: Database) -> None:
    assert (labelled_when_read(database, PROJECT), given_names(database, PROJECT)) == (0, [])
    make(database, 3)
    found = find_provisional(database, "p7-provisional-3")
    assert found and (found.name, found.labels, found.images) == ("p7-provisional-3", ("a", "b"), 2)
    assert labelled_when_read(database, PROJECT) == 2
    for name in ("p7-provisional-2", "p8-provisional-3", "p7-v3", "p7-provisional-", "p07-provisional-3"):
        assert find_provisional(database, name) is None
