"""What must be so before anything is imported.

OpenMP's threads sleep while they wait, or the suite crawls beside any busy process. What prelabel keeps goes below
.build/: exported networks are made once there, and nobody's own folder is touched.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["PRELABEL_HOME"] = str(Path(__file__).parents[1] / ".build" / "tests")

# A busy machine is no fault of the code: Hypothesis must not fail a test for its time.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
