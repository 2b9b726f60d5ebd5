"""The chain: its links in order, what each hangs on, and how it is walked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prelabel.connect.doctor import label_studio_checks, prediction_checks, server_checks
from prelabel.connect.doctor.check_results import CheckedLink, CheckResult, Status, broken
from prelabel.connect.doctor.examination import Examination
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.store.database import StoreError


@dataclass(frozen=True)
class Link:
    """One link: `name` as it is shown, the check that looks at it, and the links that this one hangs on."""

    name: str
    check: Callable[[Examination], CheckResult]
    needs: tuple[str, ...] = ()


CHAIN = (
    Link("settings", label_studio_checks.settings),
    Link("Label Studio", label_studio_checks.label_studio),
    Link("token", label_studio_checks.token, ("settings", "Label Studio")),
    Link("project", label_studio_checks.project, ("token",)),
    Link("database", server_checks.database),
    Link("weights", label_studio_checks.weights, ("database",)),
    Link("labelling config", label_studio_checks.labelling_config, ("project",)),
    Link("labels", label_studio_checks.labels, ("labelling config", "weights")),
    Link("masks", label_studio_checks.masks, ("labels",)),
    Link("server", server_checks.server),
    Link("served model", server_checks.served_model, ("server",)),
    Link("same weights", server_checks.same_weights, ("served model", "weights")),
    Link("request guard", server_checks.request_guard, ("project",)),
    Link("ML backend", server_checks.ml_backend, ("project",)),
    Link("webhook", server_checks.webhook, ("project",)),
    Link("shown version", prediction_checks.shown_version, ("served model", "ML backend")),
    Link("image", prediction_checks.image, ("labelling config",)),
    Link("predictions", prediction_checks.predictions, ("project", "database")),
)


def examine(exam: Examination) -> Iterator[CheckedLink]:
    """Walk the chain, one result per link, each as soon as it is known. A link that hangs on a broken one,
    or on one that was not checked, is not checked.
    """
    unsound: set[str] = set()
    for link in CHAIN:
        missing = [name for name in link.needs if name in unsound]
        if missing:
            unsound.add(link.name)
            yield CheckedLink(link.name, Status.NOT_CHECKED, f"needs {' and '.join(missing)}")
            continue
        result = _checked(link, exam)
        if result.status is Status.BROKEN:
            unsound.add(link.name)
        yield CheckedLink(link.name, result.status, result.detail, result.remedy)


def _checked(link: Link, exam: Examination) -> CheckResult:
    try:
        return link.check(exam)
    except LabelStudioError as error:
        return broken(str(error), "see the log of Label Studio")
    except StoreError as error:
        return broken(str(error), "give this command the server's PRELABEL_HOME and PRELABEL_DATABASE_URL")
