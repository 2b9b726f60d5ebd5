"""Labels that no webhook reported: Label Studio is asked for their number, and a run is requested, and the labels are
read for a provisional version, where that is due."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.label_counts import known_projects, note_change
from prelabel.store.project_settings import project_settings
from prelabel.store.provisional import is_promoted, labelled_when_read
from prelabel.store.runs import has_open_run, last_read, last_trained
from prelabel.training.bursts import PATIENCE
from prelabel.training.triggers import TriggerRules, timer_reason
from prelabel.worker.wake_up import WakeUpMessages, request_and_wake

logger = logging.getLogger(__name__)


class Reconciliation:
    """Asks for every known project, each time the settings' interval has passed."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        messages: WakeUpMessages,
        client: LabelStudioClient | None,
    ) -> None:
        self._database = database
        self._messages = messages
        self._client = client
        self._settings = settings
        self._makes_provisional = settings.prelabel_provisional
        self._interval = settings.prelabel_reconcile_minutes * 60
        self._due = time.monotonic()

    def run_if_due(self) -> None:
        """Ask now where it is time to; without a token there is nobody to ask."""
        if self._client is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._interval
        for project_id in known_projects(self._database):
            try:
                self._reconcile(self._client, project_id)
            except LabelStudioError as error:
                logger.warning("project %s: its labels could not be counted: %s", project_id, error)
                if error.status is None:
                    return  # Label Studio cannot be reached: nor can it for the others

    def _reconcile(self, client: LabelStudioClient, project_id: int) -> None:
        labelled = read_project(client, project_id).labelled_tasks
        self._note_change(project_id, labelled)
        if has_open_run(self._database, project_id):
            return
        decided, read = last_trained(self._database, project_id), last_read(self._database, project_id)
        rules = TriggerRules.of(project_settings(self._settings, self._database, project_id))
        if reason := timer_reason(rules, labelled, decided, read, datetime.now(UTC)):
            run = request_and_wake(self._database, self._messages, project_id, reason, PATIENCE)
            logger.info("project %s: run %s requested: %s", project_id, run.id, reason)

    def _note_change(self, project_id: int, labelled: int) -> None:
        """So that a provisional version is made, where there is to be one."""
        if not self._makes_provisional or is_promoted(self._database, project_id):
            return
        if labelled != labelled_when_read(self._database, project_id):
            note_change(self._database, project_id)
