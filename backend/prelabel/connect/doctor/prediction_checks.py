"""The links from a task's image to predictions that people see."""

from __future__ import annotations

import json

from fbnetv3.images import ImageError, read_image
from prelabel.connect.doctor.check_results import CheckResult, broken, ok, warning
from prelabel.connect.doctor.examination import Examination
from prelabel.labelstudio.config.image_values import image_value, shown_key
from prelabel.labelstudio.errors import FetchError
from prelabel.store.provisional import is_provisional
from prelabel.versions.loading import build_fetcher

HAS_PREDICTIONS = {
    "filter": "filter:tasks:total_predictions",
    "operator": "greater",
    "type": "Number",
    "value": 0,
}


def image(exam: Examination) -> CheckResult:
    """Can the images of the first task be fetched and decoded?"""
    task = next(exam.client.tasks(exam.project_id, page_size=1, with_results=False), None)
    if task is None:
        return warning("there is no task to try", "import images into the project")
    spec, problems = exam.task_config(task["data"])
    if problems:
        return broken(
            f"task {task['id']}: {'; '.join(problems)}", "import tasks with a list of pages under this key"
        )
    fetcher, sizes = build_fetcher(exam.settings), []
    for key in spec.image_keys:
        value = image_value(task["data"], key)
        try:
            content = fetcher.fetch(value, task["id"])
        except FetchError as error:
            return broken(
                f"task {task['id']}: fetching {shown_key(key)} failed: {error}",
                'docs/projects.md says under "image" what each kind of address needs',
            )
        try:
            pixels = read_image(content, max_pixels=exam.settings.prelabel_max_image_pixels)
        except ImageError as error:
            return broken(
                f"task {task['id']}: decoding {shown_key(key)} failed: {error}",
                "open the address in a browser: is it an image?",
            )
        sizes.append(f"{pixels.shape[1]} x {pixels.shape[0]}")
    return ok(f"task {task['id']} was fetched and decoded: {', '.join(sizes)} pixels")


def shown_version(exam: Examination) -> CheckResult:
    """Does the project show the predictions of the version that is served?"""
    shown, served = exam.project.shown_version or "none", exam.served_version
    title = exam.backend.title if exam.backend else ""
    follows = shown == title and is_provisional(
        served
    )  # what Label Studio shows then does not change with every label
    if not follows and (shown != served or title != served):
        return broken(
            f"the project shows the predictions of {shown!r}, the ML backend is called {title!r}, "
            f"and {served} is served: scores stay empty and the label stream is in random order",
            exam.connect_command,
        )
    if not exam.project.shows_predictions:
        return warning("annotators do not see predictions", exam.connect_command)
    if exam.project.waits_for_predictions:
        return warning(
            "every page of the Data Manager waits for predictions (evaluate_predictions_automatically is on)",
            f"switch it off and run `prelabel annotate --project {exam.project_id}` instead",
        )
    if shown != served:
        return ok(f"{served}, as the project shows {shown}, which is what the ML backend is called")
    return ok(f"{served}, with scores")


def predictions(exam: Examination) -> CheckResult:
    """How many tasks have predictions, and of which versions?"""
    counts = exam.client.prediction_counts(exam.project_id)
    counts = {version: count for version, count in counts.items() if count}
    listed = ", ".join(f"{count} of {version}" for version, count in counts.items())
    tasks, total = _tasks_with_predictions(exam), exam.project.tasks
    if not counts:
        return warning("no task has a prediction yet", f"run `prelabel annotate --project {exam.project_id}`")
    served, own = exam.current_version, exam.own_versions
    if is_provisional(served):
        return ok(
            f"{tasks} of {total} tasks have predictions: {listed}; tasks get those of {served} as they come next"
        )
    if served and served not in counts:
        return warning(
            f"{tasks} of {total} tasks have predictions: {listed}; none is of {served}, which is served",
            f"run `prelabel annotate --project {exam.project_id}`",
        )
    stale = [version for version in counts if version in own and version != served]
    if served and stale:
        return warning(
            f"{tasks} of {total} tasks have predictions: {listed}; {', '.join(stale)} is not served any more",
            f"run `prelabel annotate --project {exam.project_id} --stale-only`",
        )
    return ok(f"{tasks} of {total} tasks have predictions: {listed}")


def _tasks_with_predictions(exam: Examination) -> int:
    query = json.dumps({"filters": {"conjunction": "and", "items": [HAS_PREDICTIONS]}})
    return exam.client.count_tasks(exam.project_id, query)
