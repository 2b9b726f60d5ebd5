"""A real Label Studio on this machine: quiet, on loopback, with a known account, open to an ML backend."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from prelabel.demo.account import EMAIL, PASSWORD, personal_access_token
from prelabel.demo.service import LOOPBACK, START_LIMIT_SECONDS, Service, ServiceError

DATABASE = "label_studio.sqlite3"

INHERITED = ("PATH", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""All that it gets of the environment, for it also reads names such as HOST, PORT and DATABASE_NAME."""

ENVIRONMENT = {
    # Read when the first start makes the account.
    "LABEL_STUDIO_USERNAME": EMAIL,
    "LABEL_STUDIO_PASSWORD": PASSWORD,
    "DISABLE_SIGNUP_WITHOUT_LINK": "true",
    # Its request guard refuses ML backends on private addresses, loopback too: this is the narrowest way out.
    "USE_DEFAULT_BANNED_SUBNETS": "false",
    # No request leaves the machine.
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}


class LabelStudio(Service):
    """Label Studio from `executable`, its database and uploads under `data`.

    `templates` keeps one migrated data folder per Label Studio version: a new `data` folder is copied from
    it, or fills it. Legacy tokens stay off, as in every new Label Studio.
    """

    def __init__(self, executable: Path, data: Path, *, port: int, templates: Path) -> None:
        program = find_program(executable)
        self.data = data
        self._template = templates / f"label-studio-{installed_version(program)}"
        self._fills_template = False
        super().__init__(
            "Label Studio",
            [str(program), "start", "--no-browser", "--internal-host", LOOPBACK, "--port", str(port)],
            port=port,
            environment=_environment(data),
            log=data.with_name(f"{data.name}.log"),
        )

    @property
    def needs_migrations(self) -> bool:
        """Whether the next start makes a database first, which takes minutes instead of seconds."""
        return not has_database(self.data) and not has_database(self._template)

    def start(self) -> None:
        """Start on the data folder, made from the template where it is new."""
        self._fills_template = self.needs_migrations
        if not has_database(self.data) and has_database(self._template):
            copy_data(self._template, self.data)
        self.data.mkdir(parents=True, exist_ok=True)
        super().start()

    def wait_until_ready(self, limit: float = START_LIMIT_SECONDS) -> None:
        """Return when Label Studio answers; keeps the template when this was a first start."""
        super().wait_until_ready(limit)
        if self._fills_template:
            copy_data(self.data, self._template)

    def access_token(self) -> str:
        """A personal access token of the demo's account, the same one at every start."""
        return personal_access_token(self.url, self.data / "prelabel.token")


def find_program(executable: Path) -> Path:
    """The program at this path or, for a bare name, on the PATH. Raises ServiceError where there is none."""
    found = shutil.which(executable)
    if found is None:
        raise ServiceError(
            f"There is no program {executable}: `make demo` installs one, or name yours with --label-studio."
        )
    return Path(found)


def installed_version(program: Path) -> str:
    """The version of Label Studio that this script belongs to, without starting it, which takes 5 s.

    Raises ServiceError where it is not a script of an environment that has label-studio.
    """
    python = program.resolve().with_name("python")
    ask = "from importlib.metadata import version; print(version('label-studio'))"
    try:
        return subprocess.run([python, "-c", ask], capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServiceError(f"{program} does not belong to an environment with label-studio.") from error


def _environment(data: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    folder = str(data.absolute())  # also as its home, where it would keep an id of the user
    return {**inherited, **ENVIRONMENT, "LABEL_STUDIO_BASE_DATA_DIR": folder, "HOME": folder}


def has_database(data: Path) -> bool:
    """Whether this data folder has a database."""
    return (data / DATABASE).exists()


def copy_data(source: Path, target: Path) -> None:
    """Copy a data folder, also while Label Studio uses it; the database appears last and whole."""
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
    partial = target / f".{DATABASE}-{os.getpid()}"
    with closing(sqlite3.connect(source / DATABASE)) as original, closing(sqlite3.connect(partial)) as copy:
        original.backup(copy)
    partial.replace(target / DATABASE)
