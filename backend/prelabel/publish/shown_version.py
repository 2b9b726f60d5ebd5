"""Does what was pushed show, and will it stay the only one of prelabel's?"""

from __future__ import annotations

from collections.abc import Iterable

from prelabel.labelstudio.api.backends import AttachedBackend, attached_backends
from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.config.project import read_project
from prelabel.store.provisional import is_provisional
from prelabel.versions.own_versions import OwnVersions, has_own_form


def serving_note(backends: Iterable[AttachedBackend], version: str) -> str | None:
    """A warning where a prelabel server of the project serves another version than `version`, None
    otherwise. A provisional one is another every few seconds.
    """
    for backend in backends:
        served = backend.served_version
        if has_own_form(served) and served != version and not is_provisional(served):
            return (
                f"The server at {backend.url} serves {backend.served_version}, this command uses {version}: give "
                "both the same PRELABEL_WEIGHTS and PRELABEL_HOME, or Label Studio collects predictions of both."
            )
    return None


def notes_after(
    client: LabelStudioClient, project_id: int, version: str, own: OwnVersions
) -> list[str | None]:
    """Make what was pushed show, and say what a person should know of the project's predictions now.

    Raises LabelStudioError.
    """
    counts = client.prediction_counts(project_id)
    shown = show_version(client, project_id, version, own) if counts.get(version) else None
    unknown = own.lookalikes(counts)
    if not unknown:
        return [shown]
    return [
        shown,
        f"{', '.join(unknown)} may be prelabel's, of weights that are not known here: "
        f"`--replace {unknown[0]}` lets this command remove its predictions.",
    ]


def show_version(client: LabelStudioClient, project_id: int, version: str, own: OwnVersions) -> str | None:
    """Make the project show the predictions of `version`, of which it has some, and their scores.

    The project is read here and now, after what was pushed, which may have taken hours in which somebody decided.
    Only where nobody decided otherwise: the project shows none, or an older version of prelabel's that is no
    ML backend's title; and not for a provisional version, as there is another one with every label. Returns a note
    where the version is not shown in the end. Raises LabelStudioError.
    """
    project = read_project(client, project_id)
    shown = project.shown_version
    if not project.shows_predictions:
        return (
            "Annotators do not see predictions: "
            "switch them on in Settings > Annotation, or run `prelabel connect`."
        )
    if shown == version or is_provisional(version):
        return None
    titles = {backend.title for backend in attached_backends(client, project_id)}
    if shown and (shown not in own or shown in titles):
        return (
            f"The project shows the predictions of {shown!r}: "
            f"run `prelabel connect` to show those of {version}."
        )
    client.update_project(project_id, model_version=version)
    return None
