"""The route that tells how a project's trainings stand."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from prelabel.store.database import Database
from prelabel.store.runs import Run, list_runs


def run_routes(database: Database) -> Blueprint:
    """The route for one app."""
    routes = Blueprint("runs", __name__)

    @routes.get("/api/projects/<int:project_id>/runs")
    def runs(project_id: int) -> Response:
        return jsonify([as_json(run) for run in list_runs(database, project_id)])

    return routes


def as_json(run: Run) -> dict[str, Any]:
    """A run as clients see it; moments in ISO 8601, UTC."""
    moments = {
        "requested_at": run.requested_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "retry_at": run.retry_at,
    }
    return {
        "id": run.id,
        "project": run.project_id,
        "state": run.state,
        "requested_by": run.requested_by,
        **{name: moment and moment.isoformat(timespec="seconds") for name, moment in moments.items()},
        "stage": run.stage,
        "step": run.step,
        "steps": run.steps,
        "seconds_left": run.seconds_left,
        "eta": run.eta,
        "reason": run.reason,
        "snapshot": run.snapshot_digest,
        "version": run.version,
    }
