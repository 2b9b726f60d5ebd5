"""Label Studio's REST API: the calls that prelabel makes, each as one method.

Answers are Label Studio's own JSON (dictionaries), checked against the forms in `answers`. Every method raises
LabelStudioError, one sentence, with `status` where there was an answer that says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prelabel.labelstudio.api.answer_check import ListOf, MapOf, Record, checked
from prelabel.labelstudio.api.answers import (
    BACKEND,
    COLUMNS,
    CREATED,
    EXPORTED_TASK,
    FULL_TASK_PAGE,
    IMPORTED,
    PREDICTION,
    PROJECT,
    PROJECTS,
    TASK,
    TASK_PAGE,
    USER,
    VERSION_COUNTS,
    VIEW,
    WEBHOOK,
)
from prelabel.labelstudio.api.connection import Connection
from prelabel.labelstudio.errors import LabelStudioError
from prelabel.settings import Settings

__all__ = ["LabelStudioClient", "LabelStudioError"]

Json = dict[str, Any]

CONNECT_BACKEND_TIMEOUT_S = 60.0
"""Label Studio calls the backend's /health and /setup twice each before it answers."""

WRITE_TIMEOUT_S = 300.0
"""For what Label Studio answers only when every row is written (about 3 s per 500 predictions)."""


class LabelStudioClient(Connection):
    """One Label Studio as one user. Safe to share between threads. See Connection for the arguments."""

    def whoami(self) -> Json:
        """The user that the token belongs to (`id`, `email`, `active_organization`)."""
        return self._read(USER, "GET", "/api/current-user/whoami")

    def project(self, project_id: int) -> Json:
        """`title`, `label_config`, `model_version`, `sampling`, `task_number`, ..."""
        return self._read(PROJECT, "GET", f"/api/projects/{project_id}/")

    def projects(self, page_size: int) -> list[Json]:
        """The first projects that the user may see, as `project` gives each."""
        answer = self._read(PROJECTS, "GET", "/api/projects", params={"page_size": page_size})
        projects: list[Json] = answer["results"]
        return projects

    def create_project(self, title: str, label_config: str, **fields: Any) -> Json:
        """A new project; `title` has 3 to 50 characters."""
        body = {"title": title, "label_config": label_config, **fields}
        return self._read(CREATED, "POST", "/api/projects/", json=body)

    def update_project(self, project_id: int, **fields: Any) -> Json:
        """Change fields of a project."""
        return self._read(dict, "PATCH", f"/api/projects/{project_id}/", json=fields)

    def delete_project(self, project_id: int) -> None:
        """Delete a project with everything in it."""
        self.delete(f"/api/projects/{project_id}/")

    def import_files(self, project_id: int, paths: Iterable[Path]) -> list[int]:
        """Upload files; each becomes a task, whose data Label Studio keys by the label config. Their ids."""
        with ExitStack() as stack:
            files = [
                (f"file{number}", (path.name, stack.enter_context(path.open("rb"))))
                for number, path in enumerate(paths)
            ]
            answer = self._read(
                IMPORTED,
                "POST",
                f"/api/projects/{project_id}/import",
                params={"return_task_ids": "1"},
                files=files,
                timeout=WRITE_TIMEOUT_S,
            )
        ids: list[int] = answer["task_ids"]
        return ids

    def tasks(
        self, project_id: int, page_size: int = 100, with_results: bool = True, **filters: str
    ) -> Iterator[Json]:
        """Every task of the project in the order of the ids, fetched page by page.

        `data` holds the URLs as they were imported (s3:// stays s3://). With results, `predictions` and
        `annotations` come in full (masks too: about 10 kB each); without, only their numbers. `filters`:
        parameters of the Data Manager's own, such as `query`.
        """
        page, seen = 1, 0
        params: Json = {"project": project_id, "page_size": page_size, "resolve_uri": "false", **filters}
        form = TASK_PAGE
        if with_results:
            params["fields"], form = "all", FULL_TASK_PAGE
        while True:
            answer = self._read(form, "GET", "/api/tasks", params={**params, "page": page})
            yield from answer["tasks"]
            page, seen = page + 1, seen + len(answer["tasks"])
            if not answer["tasks"] or seen >= answer["total"]:
                return

    def count_tasks(self, project_id: int, query: str) -> int:
        """How many tasks the Data Manager finds by this query, its own JSON."""
        params = {"project": project_id, "page_size": 1, "query": query}
        total: int = self._read(TASK_PAGE, "GET", "/api/tasks", params=params)["total"]
        return total

    def task(self, task_id: int) -> Json:
        """One task in full; if it has no prediction, Label Studio asks the connected backend first."""
        params = {"resolve_uri": "false"}
        return self._read(TASK, "GET", f"/api/tasks/{task_id}/", params=params, timeout=WRITE_TIMEOUT_S)

    def update_task(self, task_id: int, data: Json) -> None:
        """Put this in the place of a task's `data`."""
        self._read(dict, "PATCH", f"/api/tasks/{task_id}/", json={"data": data})

    def export(self, project_id: int) -> list[Json]:
        """Every task that has an annotation, in one answer: `id`, `data`, `annotations` in full (skipped ones too).

        Drafts and predictions come apart from the annotations. The quickest way to read labels: 3 s per 1,000 tasks.
        """
        path, params = f"/api/projects/{project_id}/export", {"exportType": "JSON"}
        return self._rows(EXPORTED_TASK, "GET", path, params=params, timeout=WRITE_TIMEOUT_S)

    def ml_backends(self, project_id: int) -> list[Json]:
        """The connected backends: `id`, `url`, `title`, `state` (Label Studio asks each how it is)."""
        params = {"project": project_id}
        return self._rows(BACKEND, "GET", "/api/ml", params=params, timeout=CONNECT_BACKEND_TIMEOUT_S)

    def add_ml_backend(
        self, project_id: int, url: str, title: str, *, basic_auth: tuple[str, str] | None = None
    ) -> Json:
        """Connect a backend, once its /health and /setup have answered.

        Label Studio then sets the project's `model_version` to `title` and makes a webhook.
        """
        fields = {"project": project_id, "url": url, "title": title, **_basic_auth(basic_auth)}
        return self._read(BACKEND, "POST", "/api/ml", json=fields, timeout=CONNECT_BACKEND_TIMEOUT_S)

    def update_ml_backend(
        self, backend: Mapping[str, Any], *, basic_auth: tuple[str, str] | None = None, **fields: Any
    ) -> Json:
        """Change a backend that `ml_backends` gave; Label Studio checks its URL and credentials again."""
        body = {"project": backend["project"], "url": backend["url"], **_basic_auth(basic_auth), **fields}
        path = f"/api/ml/{backend['id']}"
        return self._read(dict, "PATCH", path, json=body, timeout=CONNECT_BACKEND_TIMEOUT_S)

    def delete_ml_backend(self, backend_id: int) -> None:
        """Disconnect a backend; its webhook and its predictions stay."""
        self.delete(f"/api/ml/{backend_id}", timeout=CONNECT_BACKEND_TIMEOUT_S)

    def webhooks(self, project_id: int) -> list[Json]:
        """The project's webhooks (`id`, `url`, `headers`, `is_active`)."""
        return self._rows(WEBHOOK, "GET", "/api/webhooks/", params={"project": project_id})

    def add_webhook(self, project_id: int, url: str, headers: Json) -> None:
        """A new webhook, for every event."""
        fields = {"project": project_id, "url": url, "headers": headers}
        self._read(dict, "POST", "/api/webhooks/", json=fields)

    def update_webhook(self, webhook_id: int, **fields: Any) -> None:
        """Change fields of a webhook, such as `headers`."""
        self._read(dict, "PATCH", f"/api/webhooks/{webhook_id}/", json=fields)

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook."""
        self.delete(f"/api/webhooks/{webhook_id}/")

    def predictions(self, project_id: int) -> list[Json]:
        """Every prediction in full, in one answer: `id`, `task`, `model_version`, `score`, `result`."""
        params = {"task__project": project_id}
        return self._rows(PREDICTION, "GET", "/api/predictions/", params=params, timeout=WRITE_TIMEOUT_S)

    def prediction(self, prediction_id: int) -> Json:
        """One prediction in full."""
        return self._read(PREDICTION, "GET", f"/api/predictions/{prediction_id}/")

    def prediction_counts(self, project_id: int) -> dict[str, int]:
        """Model version -> how many predictions of it the project has."""
        return self._read(VERSION_COUNTS, "GET", f"/api/projects/{project_id}/model-versions/")

    def task_predictions(self, task_id: int) -> list[Json]:
        """The predictions of one task in full, oldest first; none where the task is gone."""
        rows = self._rows(PREDICTION, "GET", "/api/predictions/", params={"task": task_id})
        return sorted(rows, key=lambda row: row["id"])

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        """Store [{"task": id, "result": [...], "score": x, "model_version": v}, ...]; how many were stored.

        Label Studio drops what it does not understand without a word, and all of them where a region is of a tag that
        is not literally in the labelling config, as the pages of a Repeater are not: `add_prediction` stores those.
        """
        path = f"/api/projects/{project_id}/import/predictions"
        answer = self._read(IMPORTED, "POST", path, json=list(predictions), timeout=WRITE_TIMEOUT_S)
        created: int = answer["created"]
        return created

    def add_prediction(self, prediction: Json) -> Json:
        """Store one prediction, as for `import_predictions`; its regions are not checked."""
        return self._read(CREATED, "POST", "/api/predictions/", json=prediction)

    def update_prediction(self, prediction_id: int, **fields: Any) -> None:
        """Change fields of one prediction, such as `score` and `cluster`; it keeps its id."""
        self._read(dict, "PATCH", f"/api/predictions/{prediction_id}/", json=fields)

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete one prediction."""
        self.delete(f"/api/predictions/{prediction_id}/")

    def columns(self, project_id: int) -> list[Json]:
        """The columns that the Data Manager knows for the project (`id`, `parent`, `target`, `visibility_defaults`)."""
        answer = self._read(COLUMNS, "GET", "/api/dm/columns/", params={"project": project_id})
        columns: list[Json] = answer["columns"]
        return columns

    def views(self, project_id: int) -> list[Json]:
        """The Data Manager's tabs of the project (`id`, `data`), from left to right."""
        return self._rows(VIEW, "GET", "/api/dm/views/", params={"project": project_id})

    def add_view(self, project_id: int, data: Json) -> Json:
        """A new tab; `data` has `title`, `ordering`, `filters`, `hiddenColumns`, and whatever else is to be kept."""
        return self._read(CREATED, "POST", "/api/dm/views/", json={"project": project_id, "data": data})

    def update_view(self, view_id: int, project_id: int, data: Json) -> None:
        """Put this in the place of a tab's `data`."""
        body = {"project": project_id, "data": data}
        self._read(dict, "PATCH", f"/api/dm/views/{view_id}/", json=body)

    def _read(self, form: Record | MapOf | type[Json], method: str, path: str, **options: Any) -> Json:
        """The answer to a request, an object of this form. Raises LabelStudioError."""
        answer: Json = checked(self.json(method, path, **options), form, f"{method} {path}")
        return answer

    def _rows(self, form: Record, method: str, path: str, **options: Any) -> list[Json]:
        """The answer to a request, a list of objects of this form. Raises LabelStudioError."""
        rows: list[Json] = checked(self.json(method, path, **options), ListOf(form), f"{method} {path}")
        return rows


def _basic_auth(pair: tuple[str, str] | None) -> Json:
    if pair is None:
        return {}
    user, password = pair
    return {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}


def label_studio_client(settings: Settings) -> LabelStudioClient:
    """Label Studio as the user whose token is set. Raises LabelStudioError, also when there is no token."""
    key = settings.label_studio_api_key
    return LabelStudioClient(
        settings.label_studio_url,
        key.get_secret_value() if key else "",
        headers=settings.label_studio_headers,
    )
