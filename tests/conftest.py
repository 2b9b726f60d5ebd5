"""What must be so before anything is imported.

OpenMP's threads sleep while they wait, or the suite crawls beside any busy process. What prelabel keeps goes below
.build/: exported networks are made once there, and nobody's own folder is touched.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["PRELABEL_HOME"] = str(Path(__file__).parents[1] / ".build" / "tests")
