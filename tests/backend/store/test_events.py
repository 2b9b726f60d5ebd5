"""The table of webhook deliveries."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving import WEBHOOKS, captured
from sqlalchemy import select, text

from prelabel.store.database import Database, StoreError
from prelabel.store.events import WebhookEvent, record_event
from prelabel.store.runs import new_labels

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def record(database: Database, payload: Any, now: datetime = NOON) -> bool:
    return record_event(database, json.dumps(payload), payload, now)


def stored(database: Database) -> list[WebhookEvent]:
    with database.session() as session:
        return list(session.scalars(select(WebhookEvent).order_by(WebhookEvent.id)))


@pytest.mark.parametrize("name", WEBHOOKS)
def test_every_recorded_delivery_is_stored_as_it_came(database: Database, name: str) -> None:
    payload = captured(name)
    assert record(database, payload)
    (event,) = stored(database)
    assert event.action == payload["action"]
    assert event.project_id == payload["project"]["id"]
    assert event.received_at == NOON
    assert json.loads(event.payload) == payload


def test_a_repeated_delivery_is_stored_once(database: Database) -> None:
    payload = {"action": "START_TRAINING", "project": {"id": 3}}
    assert record(database, payload)
    assert not record(database, payload, NOON + timedelta(seconds=59))
    assert len(stored(database)) == 1


def test_the_same_words_much_later_are_news(database: Database) -> None:
    payload = {"action": "START_TRAINING", "project": {"id": 3}}
    assert record(database, payload)
    assert record(database, payload, NOON + timedelta(seconds=60))
    assert len(stored(database)) == 2


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        7,
        {},
        {"action": None, "project": None},
        {"action": ["x"], "project": "1"},
        {"action": "A" * 5000, "project": {"id": "1"}},
        {"action": "X", "project": {"id": True}},
        {"action": "X", "project": {"id": 10**30}},
        {"action": "X", "project": {"id": -1}},
    ],
)
def test_an_odd_payload_is_harmless(database: Database, payload: Any) -> None:
    assert record(database, payload)
    (event,) = stored(database)
    assert event.project_id is None
    assert len(event.action) <= 64


def test_deliveries_at_the_same_moment(database: Database) -> None:
    """Twenty threads with one delivery, twenty with one each: twenty-one rows, and no error."""
    results: list[bool] = []

    def deliver(payload: Any) -> None:
        results.append(record(database, payload))

    payloads = [{"n": 0}] * 20 + [{"n": number} for number in range(1, 21)]
    threads = [threading.Thread(target=deliver, args=(payload,)) for payload in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    assert results.count(True) == 21
    assert len(stored(database)) == 21


def test_sqlite_is_in_wal_mode_with_foreign_keys(database: Database) -> None:
    with database.session() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}


def test_a_store_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"^the database sqlite:///.*/file/x\.sqlite3 cannot be opened: "):
        Database.open(f"sqlite:///{tmp_path}/file/x.sqlite3")
    with pytest.raises(StoreError, match="PRELABEL_DATABASE_URL cannot be used: "):
        Database.open("nodatabase://host/name")


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session() as session:
        session.add(WebhookEvent(received_at=NOON, project_id=1, action="X", digest="d", payload="{}"))
        session.flush()
        raise ZeroDivisionError
    assert stored(database) == []


def test_new_and_repeated_deliveries_are_told_apart_and_counted_by_every_kind_of_database(url: str) -> None:
    database = Database.open(url)
    payload = captured("webhook_ANNOTATION_CREATED")
    came = [record(database, payload, NOON + timedelta(seconds=seconds)) for seconds in (0, 1, 61)]
    labels = new_labels(database, payload["project"]["id"]).counted
    database.close()
    assert (came, labels) == ([True, False, True], 2)
