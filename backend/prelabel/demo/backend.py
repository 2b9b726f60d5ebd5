"""The prelabel server of the demo: its settings, and the process that runs with them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from fbnetv3.weights import default_folder
from prelabel.demo.service import LOOPBACK, Service
from prelabel.settings import Settings, environment_name, load_settings


@dataclass(frozen=True)
class Backend:
    """How the demo's server is set up: its own state under `home`, the weights where the user keeps them.

    What is not named here comes from the user's environment, as for any other command.
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

    def service(self) -> Service:
        """The server, not started; ready when its model is loaded."""
        environment = {environment_name(field): value for field, value in self._overrides().items()}
        return Service(
            "prelabel",
            [str(Path(sys.executable).with_name("prelabel")), "serve"],
            port=self.port,
            environment={**os.environ, **environment},
            log=self.home.with_name(f"{self.home.name}.log"),
            health="/ready",
        )

    def _overrides(self) -> dict[str, str]:
        return {
            "label_studio_url": self.label_studio_url,
            "label_studio_api_key": self.access_token,
            "host": LOOPBACK,
            "port": str(self.port),
            "workers": "1",
            "prelabel_home": str(self.home),
            "prelabel_database_url": f"sqlite:///{self.home.absolute() / 'prelabel.sqlite3'}",
            "model_dir": str(default_folder()),
            "prelabel_weights": self.weights,
        }
