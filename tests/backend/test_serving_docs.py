"""docs/settings.md and docs/server.md say what there is. As a script this prints the table of settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic.fields import FieldInfo

from prelabel.cli.serve import serve as serve_command
from prelabel.inference.predictor import Predictor
from prelabel.settings import CONFIDENTIAL, Settings, environment_name

DOCS = Path(__file__).parents[2] / "docs"


def settings_rows() -> list[str]:
    """The table of docs/settings.md: a line per setting."""
    return [
        f"| `{environment_name(name)}` | {_default(field)} | {_range(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default == ():
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _range(field: FieldInfo) -> str:
    bounds = {
        key: getattr(item, key) for item in field.metadata for key in ("gt", "ge", "le") if hasattr(item, key)
    }
    if "le" in bounds:
        return f"{'above ' if 'gt' in bounds else ''}{bounds.get('ge', bounds.get('gt'))} to {bounds['le']}"
    return f"{bounds['ge']} or more" if "ge" in bounds else ""


@pytest.mark.parametrize("row", settings_rows())
def test_every_setting_is_documented_as_it_is(row: str) -> None:
    assert row in (DOCS / "settings.md").read_text().splitlines()


def test_no_setting_is_documented_that_is_none() -> None:
    lines = (DOCS / "settings.md").read_text().splitlines()
    assert sorted(line for line in lines if line.startswith("| `")) == sorted(settings_rows())


def test_confidential_settings_are_settings() -> None:
    assert Settings.model_fields.keys() >= CONFIDENTIAL


def test_every_route_is_documented(serve: Callable[..., Any], load: Callable[[], Predictor]) -> None:
    text = (DOCS / "server.md").read_text()
    rules = serve(load).app.url_map.iter_rules()
    routes = {(method, rule.rule) for rule in rules for method in rule.methods & {"GET", "POST"}}
    assert len(routes) >= 8
    missing = {route for route in routes if f"| {route[0]} `{route[1]}` |" not in text}
    assert missing == set()


def test_every_metric_is_documented(client: FlaskClient) -> None:
    text = (DOCS / "server.md").read_text()
    lines = client.get("/metrics").text.splitlines()
    names = {line.split()[2] for line in lines if line.startswith("# TYPE prelabel_")}
    documented = {name for name in names if not name.endswith("_created")}
    assert len(documented) >= 7
    assert {name for name in documented if f"`{name}`" not in text} == set()


def test_every_option_of_serve_is_documented() -> None:
    text = (DOCS / "server.md").read_text()
    options = [f"--{name.replace('_', '-')}" for name in inspect.signature(serve_command).parameters]
    assert len(options) >= 5
    assert [option for option in options if f"`{option}`" not in text] == []


if __name__ == "__main__":
    print("\n".join(settings_rows()))  # noqa: T201
