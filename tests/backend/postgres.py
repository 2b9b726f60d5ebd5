"""A real PostgreSQL of this machine, for as long as a test session takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving import free_port

PROGRAMS = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")]


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, None where there is no server to start."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next((folder for folder in sorted(PROGRAMS, reverse=True) if (folder / "initdb").exists()), None)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a server that keeps nothing; `folder`: of its programs."""
    data, port = Path(tempfile.mkdtemp(prefix="prelabel-postgres-")), free_port()
    is_root = os.getuid() == 0  # PostgreSQL refuses to run as root
    if is_root:
        shutil.chown(data, "postgres", "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [str(folder / program), "--pgdata", str(data / "data"), *arguments]
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if is_root else []
        subprocess.run([*as_user, *command], check=True, cwd=data, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--username=prelabel", "--auth=trust", "--no-sync", "--encoding=UTF8")
        options = f"-F -p {port} -c listen_addresses=127.0.0.1 -k {data}"
        run("pg_ctl", "start", "--wait", "--log", str(data / "log"), "--options", options)
        try:
            yield f"postgresql+psycopg://prelabel@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "--mode", "immediate")
    finally:
        shutil.rmtree(data)
