"""The demo from beginning to end: Label Studio, prelabel, a project, its images and their predictions."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from prelabel.connect.connect import connect_project
from prelabel.demo.backend import Backend, models_folder
from prelabel.demo.images import SCENES, folder_images, scene_photos
from prelabel.demo.label_studio import LabelStudio
from prelabel.demo.project import DemoProject, open_project
from prelabel.demo.service import Service, bypass_proxies, free_port
from prelabel.demo.steps import step
from prelabel.demo.weights import demo_weights, readable_weights
from prelabel.errors import PrelabelError
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.config.writing import label_config
from prelabel.publish.annotate import annotate_project
from prelabel.settings import load_settings
from prelabel.versions.loading import build_predictor, load_detector
from prelabel.versions.own_versions import OwnVersions

if TYPE_CHECKING:
    from fbnetv3.detector import Detector

MODEL_LIMIT_SECONDS = 300.0
WATCH_SECONDS = 1.0
LONGEST_TITLE = 50
"""Of a project, in Label Studio."""


class DemoError(PrelabelError):
    """The demo cannot be shown: one sentence, with the remedy in it."""


@dataclass(frozen=True)
class DemoOptions:
    """`label_studio`: the program. `data`: what the demo keeps from run to run. `templates`: migrated
    databases of Label Studio, to be copied. `images`: a folder to show in place of generated scenes. A port
    that is taken is replaced by a free one."""

    label_studio: Path
    data: Path
    templates: Path
    images: Path | None = None
    label_studio_port: int = 8080
    prelabel_port: int = 9090


@dataclass(frozen=True)
class Demo:
    """A demo that is up, every image of its project pre-labelled by the detector."""

    label_studio: LabelStudio
    prelabel: Service
    backend: Backend
    detector: Detector
    project_id: int

    @property
    def url(self) -> str:
        """The project's page in Label Studio."""
        return f"{self.label_studio.url}/projects/{self.project_id}/data"

    def watch(self) -> NoReturn:
        """Return never; raises ServiceError when one of the two programs ends by itself."""
        while True:
            self.label_studio.check()
            self.prelabel.check()
            time.sleep(WATCH_SECONDS)


@contextmanager
def running_demo(options: DemoOptions, console: Console) -> Iterator[Demo]:
    """Bring the demo up, telling the console how far it is, and stop both programs at the end.

    Raises DemoError and ServiceError, and the errors of what it uses: SettingsError, WeightsError,
    ConfigError, LabelStudioError, ConnectError and AnnotateError.
    """
    bypass_proxies()
    with _only_demo(options.data), ExitStack() as programs:
        label_studio = programs.enter_context(_label_studio(options))
        slowly = " for the first time, which takes a minute or two" if label_studio.needs_migrations else ""
        label_studio.start()
        images = _images(options, console)
        weights = _weights(options, console)
        with step(console, f"Starting Label Studio{slowly}"):
            label_studio.wait_until_ready()
        backend = _backend(options, label_studio, weights)
        prelabel = programs.enter_context(backend.service())
        with step(console, f"Starting prelabel with the weights {weights!r}"):
            prelabel.start()
            with backend.environment_here():
                detector = load_detector(backend.settings)
            prelabel.wait_until_ready(MODEL_LIMIT_SECONDS)
        project = _project(options, images, weights, detector)
        yield Demo(
            label_studio, prelabel, backend, detector, _publish(project, backend, prelabel, detector, console)
        )


@contextmanager
def _only_demo(data: Path) -> Iterator[None]:
    """Two Label Studios must not share a database; the lock goes with the process, however it ends."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"Another demo runs on {data}: end it, or name another folder with --data."
            ) from None
        yield


def _label_studio(options: DemoOptions) -> LabelStudio:
    data, port = options.data / "label-studio", free_port(options.label_studio_port)
    return LabelStudio(options.label_studio, data, port=port, templates=options.templates)


def _backend(options: DemoOptions, label_studio: LabelStudio, weights: str) -> Backend:
    return Backend(
        home=_home(options),
        weights=readable_weights(weights),
        label_studio_url=label_studio.url,
        access_token=label_studio.access_token(),
        port=free_port(options.prelabel_port),
    )


def _home(options: DemoOptions) -> Path:
    return options.data / "prelabel"


def _images(options: DemoOptions, console: Console) -> list[Path]:
    if options.images is None:
        return _scenes(options.data / "scenes", console)
    if not options.images.is_dir():
        raise DemoError(f"{options.images} is not a folder: name one that holds images.")
    if images := folder_images(options.images):
        return images
    raise DemoError(
        f"{options.images} holds nothing that Label Studio shows: JPEG, PNG, WebP, BMP or GIF images."
    )


def _scenes(folder: Path, console: Console) -> list[Path]:
    photos: list[Path] = []
    with step(console, f"Drawing {SCENES} scenes") as on_progress:
        for photo in scene_photos(folder):
            photos.append(photo)
            on_progress(len(photos), SCENES)
    return photos


def _weights(options: DemoOptions, console: Console) -> str:
    return demo_weights(
        load_settings().prelabel_weights,
        own_images=options.images is not None,
        models=models_folder(_home(options)),
        console=console,
    )


def _project(options: DemoOptions, images: list[Path], weights: str, detector: Detector) -> DemoProject:
    folder = (options.images or images[0].parent).absolute()
    title = "Generated scenes" if options.images is None else f"Photos: {folder.name}"
    return DemoProject(
        title[:LONGEST_TITLE],
        f"{len(images)} images of {folder}, pre-labelled with the weights {weights!r}",
        label_config(detector.labels, has_masks=detector.has_masks),
        images,
    )


def _publish(
    project: DemoProject, backend: Backend, prelabel: Service, detector: Detector, console: Console
) -> int:
    """Import, connect and pre-label what is not yet so from an earlier run; the project's id."""
    settings = backend.settings
    client = LabelStudioClient(backend.label_studio_url, backend.access_token)
    with step(console, f"Importing {len(project.images)} images") as on_progress:
        project_id = open_project(client, project, on_progress)
    with step(console, "Connecting the project to prelabel"):
        connect_project(
            client,
            project_id,
            prelabel.url,
            detector.version,
            basic_auth=settings.basic_auth,
            webhook_secret=settings.webhook_secret,
        )
    with step(console, "Pre-labelling the images") as on_progress:
        summary = annotate_project(
            client,
            build_predictor(settings, detector),
            read_project(client, project_id),
            OwnVersions.known_here(detector.version),
            on_progress=lambda summary: on_progress(summary.done, summary.total),
        )
    for problem in summary.problems:
        console.print(f"task {problem.task_id}: {problem.reason}", style="yellow", markup=False)
    return project_id
