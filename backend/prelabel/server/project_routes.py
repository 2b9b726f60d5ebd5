"""The routes that tell how a project's training runs stand, and which versions they made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from prelabel.store.database import Database
from prelabel.store.runs import Run, list_runs
from prelabel.store.versions import Version, project_versions


def project_routes(database: Database) -> Blueprint:
    """Both routes for one app."""
    routes = Blueprint("projects", __name__)

    @routes.get("/api/projects/<int:project_id>/runs")
    def runs(project_id: int) -> Response:
        return jsonify([_run_as_json(run) for run in list_runs(database, project_id)])

    @routes.get("/api/projects/<int:project_id>/versions")
    def versions(project_id: int) -> Response:
        return jsonify([_version_as_json(version) for version in project_versions(database, project_id)])

    return routes


def _run_as_json(run: Run) -> dict[str, Any]:
    """A run as clients see it; moments in ISO 8601, UTC."""
    moments = {
        "requested_at": run.requested_at,
        "starts_by": run.starts_by,
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


def _version_as_json(version: Version) -> dict[str, Any]:
    """A version as clients see it, without the judgement's single images; moments in ISO 8601, UTC."""
    return {
        "name": version.name,
        "project": version.project_id,
        "state": version.state,
        "created_at": version.created_at.isoformat(timespec="seconds"),
        "run": version.run_id,
        "digest": version.digest,
        "snapshot": version.snapshot_digest,
        "labels": version.labels,
        "judgement": {
            name: value for name, value in version.judgement.as_dict().items() if name != "outcomes"
        },
        "reason": version.reason,
    }
