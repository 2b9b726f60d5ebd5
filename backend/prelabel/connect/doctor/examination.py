"""What the checks look at: everything is asked for once, when the first check wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from fbnetv3.weights import Checkpoint
from prelabel.connect.running_server import RunningServer, ServerError, find_server, served_version
from prelabel.labelstudio.api.backends import AttachedBackend, BasicAuth, attached_backends, same_url
from prelabel.labelstudio.api.client import LabelStudioClient, label_studio_client
from prelabel.labelstudio.api.webhooks import Webhook, project_webhooks
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.project import Project, read_project
from prelabel.labelstudio.config.repeaters import expand
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.provisional import ProvisionalVersion, provisional_version
from prelabel.versions.loading import project_checkpoint
from prelabel.versions.own_versions import OwnVersions


class Examination:
    """One project as these settings reach it. The properties raise what asking raises; a check that needs one
    runs only after the check that looks at it went well.

    `url`: where Label Studio reaches prelabel; None: as the project's own ML backend says, else this machine.
    """

    def __init__(self, settings: Settings, project_id: int, url: str | None = None) -> None:
        self.settings = settings
        self.project_id = project_id
        self._url = url

    @cached_property
    def client(self) -> LabelStudioClient:
        """Raises LabelStudioError."""
        return label_studio_client(self.settings)

    @cached_property
    def project(self) -> Project:
        """Raises LabelStudioError."""
        return read_project(self.client, self.project_id)

    @cached_property
    def database(self) -> Database:
        """Raises StoreError."""
        return Database.open(self.settings.database_url)

    @cached_property
    def local_weights(self) -> tuple[str, Checkpoint]:
        """The version and the weights that answer for the project, as the store and the settings here say: its
        serving version, else the weights of the settings. Raises WeightsError, StoreError.
        """
        return project_checkpoint(self.settings, self.database, self.project_id)

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights that answer for the project. Raises WeightsError, StoreError."""
        return self.local_weights[1]

    @cached_property
    def provisional(self) -> ProvisionalVersion | None:
        """What answers in the place of these weights until the first promotion. Raises StoreError, WeightsError."""
        version = provisional_version(self.database, self.project_id)
        is_served = self.settings.prelabel_provisional and version and version.base == self.local_weights[0]
        return version if is_served else None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that can be answered. Raises StoreError, WeightsError."""
        return self.provisional.labels if self.provisional else self.checkpoint.labels

    @cached_property
    def config(self) -> LabelSpec:
        """The labelling config, for whatever model. Raises LabelConfigError."""
        return self._spec(())

    @cached_property
    def spec(self) -> LabelSpec:
        """What the project asks of these weights. Raises LabelConfigError, WeightsError."""
        return self._spec(self.labels)

    def task_config(self, data: Mapping[str, Any]) -> tuple[LabelSpec, tuple[str, ...]]:
        """The labelling config for a task with this data, for whatever model, and what is wrong with the lists of its
        pages. Raises LabelConfigError.
        """
        expanded = expand(self.project.label_config, data)
        return self._read((), expanded.xml), expanded.problems

    @property
    def local_version(self) -> str:
        """The version that answers, as the detector would name it. Raises WeightsError, StoreError."""
        return self.provisional.name if self.provisional else self.local_weights[0]

    @property
    def basic_auth(self) -> BasicAuth | None:
        """The user and password of the server."""
        return self.settings.basic_auth

    @property
    def local_url(self) -> str:
        """The server of this machine."""
        return f"http://localhost:{self.settings.port}"

    @cached_property
    def server(self) -> RunningServer:
        """Raises ServerAbsent."""
        return find_server(dict.fromkeys([self.backend_url, self.local_url]))

    @cached_property
    def served_version(self) -> str:
        """Raises ServerError."""
        return served_version(self.server, self.basic_auth, project_id=self.project_id)

    @property
    def current_version(self) -> str | None:
        """The served version, None where no server says it."""
        try:
            return self.served_version
        except ServerError:
            return None

    @cached_property
    def backends(self) -> list[AttachedBackend]:
        """Raises LabelStudioError."""
        return attached_backends(self.client, self.project_id)

    @cached_property
    def backend(self) -> AttachedBackend | None:
        """The project's ML backend that is this prelabel. Raises LabelStudioError."""
        wanted = self._url or self.local_url
        there = next((one for one in self.backends if same_url(one.url, wanted)), None)
        if there or self._url:
            return there
        return next((one for one in self.backends if one.is_prelabel), None)

    @cached_property
    def own_versions(self) -> OwnVersions:
        """The model versions that are prelabel's. Raises LabelStudioError, StoreError."""
        in_use = [self.current_version] if self.current_version else []
        return OwnVersions.of_project(self.settings, self.database, self.project_id, self.backends, *in_use)

    @cached_property
    def backend_url(self) -> str:
        """Where Label Studio reaches prelabel, or should."""
        if self._url:
            return self._url
        try:
            return self.backend.url if self.backend else self.local_url
        except LabelStudioError:
            return self.local_url

    @cached_property
    def webhooks(self) -> list[Webhook]:
        """Raises LabelStudioError."""
        return project_webhooks(self.client, self.project_id)

    def _spec(self, labels: Sequence[str]) -> LabelSpec:
        return self._read(labels, self.project.label_config)

    def _read(self, labels: Sequence[str], xml: str) -> LabelSpec:
        return LabelSpec.from_config(xml, labels, self.settings.model_score_threshold)

    @property
    def connect_command(self) -> str:
        """The command that mends most of what is wrong with a connection."""
        url = "" if same_url(self.backend_url, self.local_url) else f" --url {self.backend_url}"
        return f"run `prelabel connect --project {self.project_id}{url}`"
