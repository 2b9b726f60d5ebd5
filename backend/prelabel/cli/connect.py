"""`prelabel connect`: the running server becomes the ML backend of a Label Studio project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prelabel.cli.common import BackendUrl, ProjectId, console, errors_in_one_sentence, settings_or_fail, warn
from prelabel.settings import Settings

if TYPE_CHECKING:
    from prelabel.labelstudio.config.project import Project

MODEL_PATIENCE_S = 120.0
"""How long `connect` waits for a server that was just started: loading takes seconds, on a busy machine
more.
"""


def connect(project: ProjectId, url: BackendUrl = None) -> None:
    """Connect a project to the running server, so that annotators see predictions and scores.

    Safe to repeat: run it again after the server's weights, password or address have changed.
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
    console.print(f"See it learn at {server.url}/console/projects/{project}")
    console.print(f"Next: `prelabel annotate --project {project}` pre-labels its tasks.")


def _label_map(settings: Settings, project: Project, version: str) -> list[str]:
    """What becomes what, where this machine has the weights that are served."""
    from fbnetv3.weights import WeightsError
    from prelabel.labelstudio.config.label_spec import LabelSpec
    from prelabel.labelstudio.errors import LabelConfigError
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
