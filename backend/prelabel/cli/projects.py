"""`prelabel connect`, `annotate` and `doctor`: what is done for one Label Studio project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from prelabel.cli.common import (
    ProjectId,
    console,
    errors_in_one_sentence,
    load_predictor,
    print_problems,
    progress_bar,
    settings_or_fail,
    stoppable,
    warn,
)
from prelabel.cli.errors import fail
from prelabel.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from prelabel.connect.doctor import Finding
    from prelabel.labelstudio.config.project import Project
    from prelabel.publish.annotate import Summary

MODEL_PATIENCE_S = 120.0
"""How long `connect` waits for a server that was just started: loading takes seconds, on a busy machine
more.
"""

STATUS_STYLE = {"ok": "green", "warning": "yellow", "broken": "bold red", "not checked": "dim"}

BackendUrl = Annotated[
    str | None,
    typer.Option("--url", help="Where Label Studio reaches prelabel; http://localhost:PORT when not given."),
]


def connect(project: ProjectId, url: BackendUrl = None) -> None:
    """Make the running server the ML backend of a project, so that predictions and scores show.

    Safe to repeat: run it again after the server got other weights, another password or another address.
    """
    settings = settings_or_fail()
    with errors_in_one_sentence():
        from prelabel.connect.connect import connect_project
        from prelabel.connect.running_server import find_server, served_version
        from prelabel.labelstudio.api.client import label_studio_client

        local, auth = f"http://localhost:{settings.port}", settings.basic_auth
        url = (url or local).rstrip("/")
        client = label_studio_client(settings)
        server = find_server([url, local])
        if server.url != url:
            console.print(f"{url} does not answer this machine, so {server.url} is asked for its version.")
        with console.status("waiting for the model"):
            version = served_version(server, auth, MODEL_PATIENCE_S, project)
        connection = connect_project(
            client, project, url, version, basic_auth=auth, webhook_secret=settings.webhook_secret
        )
        label_map = _label_map(settings, connection.project, version)
        tools = _missing_tools(connection.project)
    changes = connection.changes or ("nothing had to be changed",)
    console.print(f"Project {project} is connected to {version} at {url}:", style="green")
    console.print("\n".join(f"  {line}" for line in changes))
    warn(connection.notes)
    console.print("\n".join(["What is pre-labelled:", *(f"  {line}" for line in label_map)]))
    if tools:
        console.print("\n".join(tools))
    console.print(f"Next: `prelabel annotate --project {project}` pre-labels its tasks.")


def annotate(
    project: ProjectId,
    stale_only: Annotated[
        bool,
        typer.Option(
            "--stale-only",
            help="Only tasks with predictions of prelabel's other versions, or failed ones.",
        ),
    ] = False,
    labelled: Annotated[bool, typer.Option("--all", help="Labelled tasks, too.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, max=500, help="Tasks that are pushed together.")] = 8,
    replace: Annotated[
        list[str] | None,
        typer.Option(help="A version that is prelabel's, though its weights are not known here; repeatable."),
    ] = None,
) -> None:
    """Push predictions for the tasks that lack one of the serving version, and take back stale ones.

    Ctrl-C loses nothing: the next run goes on from there.
    """
    settings = settings_or_fail()
    with errors_in_one_sentence():
        from prelabel.labelstudio.api.backends import attached_backends
        from prelabel.labelstudio.api.client import label_studio_client
        from prelabel.labelstudio.config.project import read_project
        from prelabel.publish.annotate import annotate_project
        from prelabel.publish.shown_version import notes_after, serving_note
        from prelabel.store.database import Database
        from prelabel.versions.own_versions import OwnVersions

        client = label_studio_client(settings)
        backends = attached_backends(client, project)
        database = Database.open(settings.database_url)
        predictor = load_predictor(settings, database, project)
        own = OwnVersions.of_project(
            settings, database, project, backends, predictor.version, declared=replace or ()
        )
        warn([serving_note(backends, predictor.version)])
        console.print(f"Predicting with {predictor.version}.")
        with stoppable(), progress_bar() as show:
            summary = annotate_project(
                client,
                predictor,
                read_project(client, project),
                own,
                stale_only=stale_only,
                include_labelled=labelled,
                batch_size=batch_size,
                on_progress=show,
            )
        _print_summary(summary)
        warn(notes_after(client, project, predictor.version, own))


def doctor(project: ProjectId, url: BackendUrl = None) -> None:
    """Look at every link from the settings to predictions that show, and say what mends it."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(f"settings: {error}")
    from prelabel.connect.doctor import Examination, Status, examine

    broken = 0
    for finding in examine(Examination(settings, project, url)):
        _print_finding(finding)
        broken += finding.status is Status.BROKEN
    if broken:
        fail(f"{broken} of the links above {'is' if broken == 1 else 'are'} broken; begin with the first.")


def _label_map(settings: Settings, project: Project, version: str) -> list[str]:
    """What becomes what, where this machine has the weights that are served."""
    from fbnetv3.weights import WeightsError
    from prelabel.labelstudio.config.label_spec import LabelConfigError, LabelSpec
    from prelabel.store.database import Database
    from prelabel.versions.loading import project_checkpoint

    config, threshold = project.label_config, settings.model_score_threshold
    try:
        elsewhere = [
            "the weights of the server are not here: its log shows the labels",
            *LabelSpec.from_config(config, (), threshold).left_out,
        ]
        here, checkpoint = project_checkpoint(settings, Database.open(settings.database_url), project.id)
        spec = LabelSpec.from_config(config, checkpoint.labels, threshold)
    except WeightsError:
        return elsewhere
    except LabelConfigError as error:
        return [str(error)]
    return spec.describe(checkpoint.has_masks) if here == version else elsewhere


def _missing_tools(project: Project) -> list[str]:
    """What to add to the project's labelling config for smart tools; nothing where it has them."""
    from prelabel.labelstudio.config.smart_tools import EXPLANATION, missing_page_tools, missing_tools
    from prelabel.labelstudio.errors import LabelConfigError

    try:
        snippets = {
            "the last </View>": missing_tools(project.label_config),
            "</Repeater>": missing_page_tools(project.label_config),
        }
    except LabelConfigError:
        return []
    lines = []
    for place, snippet in snippets.items():
        if snippet:
            lines += [
                f"For smart tools, which make a region of a drawn box or a click, paste this before {place} of",
                "the labelling config (Settings > Labeling Interface > Code):",
                *(f"  {line}" for line in snippet.splitlines()),
            ]
    return [*lines, *EXPLANATION] if lines else []


def _print_summary(summary: Summary) -> None:
    console.print(f"Tasks with a new prediction: {summary.pushed}", style="green")
    counts = {
        "Tasks that had one of this version": summary.current,
        "Labelled tasks, left alone (--all takes them too)": summary.labelled,
        "Tasks without a stale prediction, left alone": summary.unasked,
        "Stale predictions removed": summary.removed,
        "Tasks without a prediction because something failed": summary.failed,
    }
    for what, number in counts.items():
        if number:
            console.print(f"{what}: {number}")
    print_problems(summary.problems)
    warn(summary.left_out)


def _print_finding(finding: Finding) -> None:
    line = Text(f"{finding.status:<12}", STATUS_STYLE[finding.status])
    console.print(line.append(f"{finding.link:<18}", "bold").append(finding.detail, "default"))
    if finding.remedy:
        console.print(f"{'':<12}-> {finding.remedy}")
