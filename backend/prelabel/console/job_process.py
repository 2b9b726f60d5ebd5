"""The process of a job: carries out a command as a child, and leaves its exit code. It holds the job's lock meanwhile.

python -m prelabel.console.job_process FOLDER NICE COMMAND...
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from fbnetv3.files import write_whole
from prelabel.console.jobs import EXIT_CODE, LOCK


def main(folder: Path, nice: int, command: list[str]) -> None:
    """Until the command has ended."""
    os.nice(nice)
    with FileLock(folder / LOCK):
        code = subprocess.run([sys.executable, "-m", "prelabel", *command], check=False).returncode
        write_whole(str(code).encode(), folder / EXIT_CODE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
