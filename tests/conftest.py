"""Before torch is imported: OpenMP's threads sleep while they wait, or the suite crawls beside any busy process."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
