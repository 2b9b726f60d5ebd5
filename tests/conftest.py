"""What must be so before anything is imported, and which tests stay together where several processes share them.

OpenMP's threads sleep while they wait, or the suite crawls beside any busy process. What prelabel keeps goes below
.build/: exported networks are made once there, and nobody's own folder is touched.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["COLUMNS"] = "200"  # tables are as wide without a terminal as with one
if "PYTEST_XDIST_WORKER" in os.environ:  # `make test` runs one process per core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PRELABEL_HOME"] = str(Path(__file__).parents[1] / ".build" / "tests")

# A busy machine is no fault of the code: Hypothesis must not fail a test for its time.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


class TogetherScheduling(LoadScopeScheduling):
    """Gives a process whole files; the end-to-end tests go to one, because they share a Label Studio."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/e2e" if file.startswith("tests/e2e/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherScheduling:
    return TogetherScheduling(config, log)
