"""The forms of Label Studio's answers, read off 1.23: fields that may be null are so in its own models."""

from __future__ import annotations

from prelabel.labelstudio.api.answer_check import ListOf, MapOf, Record

CREATED = Record("something new with an id", {"id": int})
"""What is made is not read back; what a change is answered with need only be an object."""

USER = Record("a user", {"email": str})

PROJECT = Record(
    "a project",
    {
        "id": int,
        "title": str | None,
        "description": str | None,
        "label_config": str,
        "model_version": str | None,
        "sampling": str | None,
        "show_collab_predictions": bool | None,
        "evaluate_predictions_automatically": bool | None,
        "task_number": int | None,
        "num_tasks_with_annotations": int | None,
        "ground_truth_number": int | None,
    },
)
PROJECTS = Record("a page of projects", {"results": ListOf(PROJECT)})

PREDICTION = Record(
    "a prediction",
    {
        "id": int,
        "task": int,
        "model_version": str | None,
        "score": float | None,
        "cluster": int | None,
        "result": list | None,
    },
)
ANNOTATION = Record(
    "an annotation",
    {
        "id": int,
        "result": list | None,
        "was_cancelled": bool | None,
        "ground_truth": bool | None,
        "parent_prediction": int | None,
        "prediction": dict | None,
    },
)
TASK = Record(
    "a task",
    {
        "id": int,
        "inner_id": int | None,
        "data": dict,
        "annotations": ListOf(ANNOTATION),
        "predictions": ListOf(PREDICTION),
    },
)
EXPORTED_TASK = Record("a task", {"id": int, "data": dict, "annotations": ListOf(ANNOTATION)})
"""Its predictions are numbers."""

TASK_ROW = Record(
    "a task",
    {
        "id": int,
        "inner_id": int | None,
        "data": dict,
        "total_annotations": int,
        "predictions_score": float | None,
        "predictions_model_versions": str,
    },
)
TASK_PAGE = Record("a page of tasks", {"tasks": ListOf(TASK_ROW), "total": int})
FULL_TASK_PAGE = Record("a page of tasks", {"tasks": ListOf(TASK), "total": int})
IMPORTED = Record("the result of an import", {"task_ids": ListOf(int), "created": int})

BACKEND = Record(
    "an ML backend",
    {
        "id": int,
        "project": int,
        "url": str,
        "title": str | None,
        "description": str | None,
        "state": str,
        "readable_state": str,
        "error_message": str | None,
        "model_version": str | None,
        "auth_method": str,
        "basic_auth_user": str | None,
    },
)
WEBHOOK = Record(
    "a webhook",
    {
        "id": int,
        "url": str,
        "headers": dict | None,
        "is_active": bool,
        "send_for_all_actions": bool,
        "send_payload": bool,
    },
)
VIEW = Record("a tab", {"id": int, "data": dict | None})
COLUMNS = Record(
    "the columns of a project",
    {
        "columns": ListOf(
            Record(
                "a column",
                {"id": str, "target": str, "parent": str | None, "visibility_defaults": dict | None},
            )
        )
    },
)
VERSION_COUNTS = MapOf(int)
