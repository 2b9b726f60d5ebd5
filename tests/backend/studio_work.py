"""Pieces of work that ask Label Studio for something, on a project that has some of everything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from default_limits import fetch_limits, predictor_options
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import ColourDetector

from fbnetv3.judging.effort import Effort
from prelabel.connect.doctor import Examination, examine
from prelabel.inference.predictor import Predictor
from prelabel.labels.accepted import accepted_tasks
from prelabel.labels.snapshots import build_snapshot
from prelabel.labels.usefulness import usefulness
from prelabel.labelstudio.api.backends import attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.api.request_guard import guard_refusal
from prelabel.labelstudio.api.tabs import Tab, put_tab
from prelabel.labelstudio.api.webhooks import keep_one_webhook
from prelabel.labelstudio.config.project import Project, read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import annotate_project
from prelabel.publish.promotion import publish
from prelabel.publish.shown_version import notes_after
from prelabel.publish.stale import remove_stale
from prelabel.publish.storing import store_predictions
from prelabel.publish.survey import survey
from prelabel.queue.after_promotion import refresh_predictions
from prelabel.queue.listing import read_queue
from prelabel.queue.refresh import TAB, QueueRefresh
from prelabel.review.prelabels import prelabelled_images
from prelabel.review.write_back import write_findings
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.label_counts import note_project
from prelabel.store.versions import PromotionRow
from prelabel.versions.own_versions import OwnVersions
from prelabel.worker.reconcile import Reconciliation
from prelabel.worker.wake_up import WakeUpMessages

TOKEN = "0123456789abcdef0123456789abcdef01234567"
VERSION = "starter-aaaaaaaaaaaa"
STALE = "coco-bbbbbbbbbbbb"
OWN = OwnVersions(frozenset({"starter", "coco"}))


class Work:
    """Pieces of work on a project that has some of everything."""

    def __init__(self, studio: LabelStudioStandIn, host: str, folder: Path) -> None:
        self.studio = studio
        self.folder = folder
        limits = fetch_limits(allow_private=True, total_timeout=5)
        detector = ColourDetector()
        detector.version = VERSION
        self.fetcher = ImageFetcher(studio.client(), limits, folder / "cache")
        self.predictor = Predictor(detector, self.fetcher, predictor_options())
        self.settings = load_settings(
            prelabel_home=folder,
            label_studio_url=studio.url,
            label_studio_api_key=TOKEN,
            port=9,
            prelabel_strategy="none",
            prelabel_allow_private_addresses=True,
        )
        self.database = Database.open(self.settings.database_url)
        note_project(self.database, PROJECT)
        self.task, *_ = studio.add_tasks(f"http://{host}/img1.png", f"http://{host}/img2.png")
        studio.add_prediction(self.task, STALE)
        studio.add_prediction(self.task, VERSION, score=0.0)
        self._add_labelled(host)
        studio.add_backend("http://127.0.0.1:9", VERSION, description="prelabel", is_interactive=True)
        studio.add_webhook("http://127.0.0.1:9/webhook")
        studio.project |= {
            "model_version": VERSION,
            "num_tasks_with_annotations": 3,
            "ground_truth_number": 0,
        }

    def _add_labelled(self, host: str) -> None:
        value = {
            "x": 1.0,
            "y": 1.0,
            "width": 10.0,
            "height": 10.0,
            "rotation": 0,
            "rectanglelabels": ["Disc"],
        }
        names = {"from_name": "rect", "to_name": "image", "type": "rectanglelabels"}
        region = {"id": "a", **names, "value": value, "original_width": 300, "original_height": 200}
        for number in range(3, 6):
            [task] = self.studio.add_tasks(f"http://{host}/img{number}.png")
            made_from = self.studio.add_prediction(task, VERSION)
            self.studio.predictions[made_from]["result"] = [region]
            annotation = {"id": task + 100, "result": [region], "was_cancelled": False, "ground_truth": False}
            annotation |= {"parent_prediction": made_from, "updated_at": "2026-11-21T12:00:00Z"}
            self.studio.tasks[task]["annotations"] = [annotation]

    def _promote(self) -> None:
        """The base weights serve from now on, and Label Studio is to be told."""
        row = PromotionRow(project_id=PROJECT, promoted_at=datetime.now(UTC), reason="a test")
        with self.database.session() as session:
            session.add(row)

    @property
    def client(self) -> LabelStudioClient:
        return self.studio.client()

    @property
    def project(self) -> Project:
        return read_project(self.client, PROJECT)

    def accepted(self) -> None:
        for task in accepted_tasks(self.client, PROJECT):
            assert isinstance(task.task_id, int) and isinstance(task.data, dict)

    def snapshot(self) -> None:
        build_snapshot(self.client, self.fetcher, self.project, self.folder / "project", 10**8)

    def labelled(self) -> None:
        assert isinstance(self.project.labelled_tasks, int)

    def survey(self) -> None:
        list(survey(self.client, PROJECT, OWN.__contains__))

    def stale(self) -> None:
        remove_stale(self.client, self.task, VERSION, OWN)

    def annotate(self) -> None:
        annotate_project(self.client, self.predictor, self.project, OWN, least_sure_first=True)

    def store(self) -> None:
        rows = [{"task": self.task, "result": [], "score": 0.5, "model_version": VERSION}]
        store_predictions(self.client, PROJECT, rows)

    def shown(self) -> None:
        notes_after(self.client, PROJECT, VERSION, OWN)

    def backends(self) -> None:
        attached_backends(self.client, PROJECT)

    def webhook(self) -> None:
        keep_one_webhook(self.client, PROJECT, "http://127.0.0.1:9", ["http://old"], {"Authorization": "x"})

    def guard(self) -> None:
        guard_refusal(self.client, PROJECT, "http://127.0.0.1:9")

    def tab(self) -> None:
        put_tab(self.client, PROJECT, Tab(TAB, ("tasks:predictions_score",)))

    def queue(self) -> None:
        self.tab()
        read_queue(self.client, PROJECT, 10)

    def order(self) -> None:
        queue = QueueRefresh(self.settings, self.client, self.predictor, PROJECT, OWN)
        queue.put_in_order("random", 0.0)

    def publish(self) -> None:
        self._promote()
        publish(self.settings, self.database, self.client, PROJECT)

    def refresh(self) -> None:
        self._promote()
        refresh_predictions(self.settings, self.database, self.client, PROJECT)

    def prelabels(self) -> None:
        prelabelled_images(self.client, self.project)

    def findings(self) -> None:
        write_findings(self.client, PROJECT, [])

    def stats(self) -> None:
        usefulness(self.client, PROJECT, Effort())

    def reconcile(self) -> None:
        messages = WakeUpMessages(self.settings)
        Reconciliation(self.settings, self.database, messages, self.client).run_if_due()

    def doctor(self) -> None:
        list(examine(Examination(self.settings, PROJECT, None)))
