"""Label Studio's requests as data classes: what is missing or of the wrong kind is said in one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from prelabel.server.errors import RequestError


@dataclass(frozen=True)
class SetupRequest:
    """POST /setup: a project asks for the model's version. Its `extra_params` and token are not used."""

    project_id: int | None
    label_config: str

    @classmethod
    def parse(cls, body: bytes) -> SetupRequest:
        """Raises RequestError."""
        fields = _json_object(body)
        return cls(project_id_of(fields.get("project")), _text(fields, "schema"))


@dataclass(frozen=True)
class PredictRequest:
    """POST /predict: tasks of one project. `context`: what somebody drew with a smart tool, else None."""

    project_id: int | None
    label_config: str
    tasks: list[Any]
    context: Any

    @classmethod
    def parse(cls, body: bytes) -> PredictRequest:
        """Raises RequestError."""
        fields = _json_object(body)
        tasks, params = fields.get("tasks"), fields.get("params")
        if not isinstance(tasks, list):
            raise RequestError("The field 'tasks' must be a list of tasks.")
        return cls(
            project_id_of(fields.get("project")),
            _text(fields, "label_config"),
            tasks,
            params.get("context") if isinstance(params, dict) else None,
        )

    @property
    def is_interactive(self) -> bool:
        """Whether somebody drew with a smart tool and waits."""
        return self.context is not None


def parse_json(body: bytes) -> tuple[str, Any]:
    """The body as text and as the value it describes. Raises RequestError."""
    try:
        text = body.decode()
        return text, json.loads(text)
    except (ValueError, RecursionError):
        raise RequestError("The request body is not JSON.") from None


def project_id_of(uid: Any) -> int | None:
    """The project's id from "<id>.<created unix time>" as Label Studio names it, None from anything else."""
    number = str(uid).partition(".")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _json_object(body: bytes) -> dict[str, Any]:
    _, value = parse_json(body)
    if not isinstance(value, dict):
        raise RequestError("The request body must be a JSON object.")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"The field {name!r} must hold the labelling config.")
    return value
