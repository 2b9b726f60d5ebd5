"""Fixtures of the tests around Label Studio's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from studio_work import Work

from prelabel.versions.loading import project_checkpoint


@pytest.fixture
def work(
    studio: LabelStudioStandIn,
    host: str,
    tmp_path: Path,
    bare_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Work]:
    """Ready to be done; weights are read once, not for every piece."""
    work = Work(studio, host, tmp_path)
    weights = project_checkpoint(work.settings, work.database, PROJECT)
    monkeypatch.setattr("prelabel.connect.doctor.examination.project_checkpoint", lambda *_: weights)
    monkeypatch.setattr("prelabel.publish.promotion.base_checkpoint", lambda *_: weights)
    monkeypatch.setattr("prelabel.queue.after_promotion.project_predictor", lambda *_: work.predictor)
    try:
        yield work
    finally:
        work.database.close()
