"""The refresh of predictions that the worker starts after a promotion."""

from __future__ import annotations

import sys
from pathlib import Path

from label_studio_stand_in import PROJECT
from version_samples import store_version

from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion
from prelabel.worker.refreshing import Refresher


def test_a_refresh_that_fails_is_not_tried_at_once_and_leaves_nothing_open(
    database: Database, tmp_path: Path, bare_environment: None
) -> None:
    settings = load_settings(prelabel_home=tmp_path)
    add_promotion(database, PROJECT, store_version(settings, database, None), "better")
    trace = tmp_path / "trace"
    write = f"import sys; open({str(trace)!r}, 'a').write(sys.argv[1] + ' '); sys.exit(1)"
    command = (sys.executable, "-c", write)
    refresher = Refresher(settings, database, command)
    refresher.refresh()
    before = len(list(Path("/proc/self/fd").iterdir()))
    refresher.refresh()
    assert trace.read_text().split() == [str(PROJECT)]
    for _ in range(3):
        Refresher(settings, database, command).refresh()
    assert trace.read_text().split() == [str(PROJECT)] * 4
    assert len(list(Path("/proc/self/fd").iterdir())) == before
