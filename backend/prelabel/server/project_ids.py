"""Project ids in paths: a number that none can be is no route, rather than an error of the database."""

from __future__ import annotations

from werkzeug.routing import IntegerConverter, Map

from prelabel.ids import LARGEST_ID


class ProjectId(IntegerConverter):
    """`<int:...>` of the routes, in which every number is the id of a project."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=LARGEST_ID)
