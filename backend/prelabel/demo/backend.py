"""The prelabel server of the demo: its settings, and the process that runs with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prelabel.demo.service import LOOPBACK, Service
from prelabel.settings import Settings, environment_name, load_settings


@dataclass(frozen=True)
class Backend:
    """How the demo's server is set up: all that it keeps is under `home`, also the models that it makes.

    `weights`: as `readable_weights` names them. What is not named here comes from the user's environment, as for any
    other command.
    """

    home: Path
    weights: str
    label_studio_url: str
    access_token: str = field(repr=False)
    port: int

    @property
    def settings(self) -> Settings:
        """Raises SettingsError."""
        return load_settings(**self._overrides())

    @property
    def environment(self) -> dict[str, str]:
        """Of the server. It must not share a queue with the user's own, nor PyTorch's folder for compiled code."""
        overrides = {environment_name(field): value for field, value in self._overrides().items()}
        apart = {
            "PRELABEL_QUEUE_URL": "",
            "TORCHINDUCTOR_CACHE_DIR": str(self.home.absolute() / "cache" / "torch"),
        }
        return {**os.environ, **overrides, **apart}

    @contextmanager
    def environment_here(self) -> Iterator[None]:
        """What this process makes of weights, such as exports, goes where the server's goes, too."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def service(self) -> Service:
        """The server, not started; ready when its model is loaded."""
        return Service(
            "prelabel",
            [str(Path(sys.executable).with_name("prelabel")), "serve"],
            port=self.port,
            environment=self.environment,
            log=self.home.with_name(f"{self.home.name}.log"),
            health="/ready",
        )

    def _overrides(self) -> dict[str, str]:
        home = self.home.absolute()
        return {
            "label_studio_url": self.label_studio_url,
            "label_studio_api_key": self.access_token,
            "host": LOOPBACK,
            "port": str(self.port),
            "workers": "1",
            "prelabel_home": str(home),
            "prelabel_database_url": f"sqlite:///{home / 'prelabel.sqlite3'}",
            "model_dir": str(models_folder(home)),
            "prelabel_weights": self.weights,
        }


def models_folder(home: Path) -> Path:
    """Where the demo keeps weights, versions and exports."""
    return home / "models"
