"""The links between the settings and a project that prelabel may work on."""

from __future__ import annotations

import requests

from fbnetv3.weights import WeightsError
from prelabel.connect.doctor.check_results import CheckResult, broken, ok, warning
from prelabel.connect.doctor.examination import Examination
from prelabel.labelstudio.api.proxies import SETTING, redirection, refusal_of_proxy
from prelabel.labelstudio.config.choice_controls import CHOICES
from prelabel.labelstudio.errors import LabelConfigError, LabelStudioError
from prelabel.settings import unknown_variables
from prelabel.versions.files import VersionFileError

TIMEOUT_S = 10.0
MEND_CONFIG = "mend it in Settings > Labeling Interface"


def settings(exam: Examination) -> CheckResult:
    """Is everything set that the other links need?"""
    if exam.settings.label_studio_api_key is None:
        return broken(
            "LABEL_STUDIO_API_KEY is not set",
            "make a personal access token in Label Studio (Account & Settings) and set it to that",
        )
    if unknown := unknown_variables():
        return warning("; ".join(unknown), "correct the names, or remove the variables")
    return ok(f"Label Studio at {exam.settings.label_studio_url}")


def label_studio(exam: Examination) -> CheckResult:
    """Does Label Studio answer at all?"""
    url, headers = exam.settings.label_studio_url, exam.settings.label_studio_headers
    try:
        answer = requests.get(f"{url}/api/version", headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        if refusal := refusal_of_proxy(answer, url, has_headers=bool(headers)):
            return broken(refusal, f"docs/server.md has examples of {SETTING}")
        if answer.is_redirect:
            return broken(redirection(url, "GET /api/version", answer), "set LABEL_STUDIO_URL to its address")
        release = answer.json()["release"]
    except requests.ConnectionError:
        return broken(
            f"nothing answers at {url}",
            "start Label Studio, or set LABEL_STUDIO_URL to its address as seen from here "
            "(inside a container, localhost is the container itself)",
        )
    except (requests.RequestException, ValueError, KeyError, TypeError, RecursionError):
        return broken(f"what answers at {url} is not Label Studio", "set LABEL_STUDIO_URL to its address")
    return ok(f"version {release} at {url}")


def token(exam: Examination) -> CheckResult:
    """Which kind of token is it, and does Label Studio take it?"""
    try:
        user = exam.client.whoami()["email"]
    except LabelStudioError as error:
        return broken(str(error), "set LABEL_STUDIO_API_KEY to a personal access token of this Label Studio")
    return ok(f"{exam.client.token_kind} of {user}")


def project(exam: Examination) -> CheckResult:
    """Does the project exist, and may this user see it?"""
    try:
        title, tasks = exam.project.title, exam.project.tasks
    except LabelStudioError as error:
        if error.status != requests.codes.not_found:
            raise
        return broken(
            f"there is no project {exam.project_id} that this user may see",
            "take the number from the address of the project's page: .../projects/<number>/",
        )
    if not tasks:
        return warning(f"{title!r} has no tasks", "import images into it")
    return ok(f"{title!r}, {tasks} tasks")


def weights(exam: Examination) -> CheckResult:
    """Can the weights that answer for the project be read here?"""
    try:
        version, checkpoint = exam.local_weights
    except VersionFileError as error:
        return broken(
            f"{error.problem}; the base weights answer in their place",
            f"put the file back, or run `prelabel versions rollback --project {exam.project_id}`; what is trained then "
            "starts from the version that serves",
        )
    except WeightsError as error:
        return broken(str(error), "see `prelabel weights list`, and set PRELABEL_WEIGHTS")
    masks = "boxes and masks" if checkpoint.has_masks else "boxes only"
    if early := exam.provisional:
        on = f"provisional, of {early.images} labelled images, on {version}"
        return ok(f"{early.name}, {on}: {len(early.labels)} labels, {masks}")
    return ok(f"{version}: {len(checkpoint.labels)} labels, {masks}")


def labelling_config(exam: Examination) -> CheckResult:
    """Does the project ask for regions that can be pre-labelled?"""
    try:
        controls = [control for control in exam.config.active if control.unmatched]
        choices = exam.config.choices.active
    except LabelConfigError as error:
        return broken(str(error), MEND_CONFIG)
    if not controls and not choices:
        return broken("; ".join(exam.config.notes) or "every control has model_skip", MEND_CONFIG)
    named = [control.name for control in controls]
    named += [f"{CHOICES} {control.from_name!r}" for control in choices]
    if left_out := exam.config.left_out:
        return warning(f"{', '.join(named)} can be filled; {'; '.join(left_out)}", MEND_CONFIG)
    return ok(", ".join(named))


def labels(exam: Examination) -> CheckResult:
    """Do the labels of the project and of the model meet?"""
    spec = exam.spec
    if not spec.active and spec.choices.active:
        return ok("the project has choices only, which are learnt from what people choose")
    matched = {label for control in spec.active for label in control.label_map.values()}
    if not matched:
        return broken(
            "no label of the project is one of the model's",
            f"use labels of the model ({', '.join(exam.labels)}), or give yours "
            'predicted_values="<label of the model>"',
        )
    unmatched = {label for control in spec.active for label in control.unmatched} - matched
    remarks = [note for note in spec.notes if note not in spec.left_out]
    if unmatched or remarks:
        missing = [f"no model label for {', '.join(sorted(unmatched))}"] if unmatched else []
        return warning(
            "; ".join([*missing, *remarks]),
            "people draw these by hand, unless you give them predicted_values",
        )
    return ok(f"every label has its match: {', '.join(sorted(matched))}")


def masks(exam: Examination) -> CheckResult:
    """Can the model fill the mask controls of the project?"""
    mask_controls = [control.from_name for control in exam.spec.active if control.needs_masks]
    if not mask_controls:
        return ok("the project asks for boxes only")
    if exam.checkpoint.has_masks:
        return ok(f"the model makes masks for {', '.join(mask_controls)}")
    say = broken if len(mask_controls) == len(exam.spec.active) else warning
    return say(
        f"{', '.join(mask_controls)} will stay empty: these weights have boxes and no masks",
        "use weights with masks (`prelabel weights list`), or RectangleLabels",
    )
