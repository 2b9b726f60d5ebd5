"""The route that tells which versions a project has, and which one serves."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from prelabel.store.database import Database
from prelabel.store.versions import Version, project_versions


def version_routes(database: Database) -> Blueprint:
    """The route for one app."""
    routes = Blueprint("versions", __name__)

    @routes.get("/api/projects/<int:project_id>/versions")
    def versions(project_id: int) -> Response:
        return jsonify([as_json(version) for version in project_versions(database, project_id)])

    return routes


def as_json(version: Version) -> dict[str, Any]:
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
        "judgement": {name: value for name, value in version.judgement.items() if name != "outcomes"},
        "reason": version.reason,
    }
