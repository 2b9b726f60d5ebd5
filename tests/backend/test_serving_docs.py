"""docs/settings.md and docs/server.md say what there is. As a script this writes the settings into their page."""

from __future__ import annotations

import inspect
import re
import textwrap
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
WIDTH = 116
"""Of the lines of an entry, as of the prose around them."""

BEGIN, END = (
    "<!-- settings, as tests/backend/test_serving_docs.py writes them -->",
    "<!-- end of settings -->",
)


def settings_part() -> str:
    """The part of docs/settings.md that follows the code: a heading per class of settings, an entry per field."""
    groups = [(group, _own_fields(group)) for group in reversed(inspect.getmro(Settings))]
    sections = [f"{_heading(group)}\n\n" + "\n".join(map(_entry, names)) for group, names in groups if names]
    return "\n\n".join([BEGIN, *sections, END])


def _own_fields(group: type) -> list[str]:
    return [name for name in inspect.get_annotations(group) if name in Settings.model_fields]


def _heading(group: type) -> str:
    """`LabelStudioSettings` becomes "Label Studio", with what its docstring says."""
    if group is Settings:
        return "## All settings"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", group.__name__.removesuffix("Settings"))
    return f"## {words}\n\n{_wrapped(inspect.getdoc(group) or '')}"


def _wrapped(text: str) -> str:
    """Lines of at most `WIDTH`, code unbroken, those after the first indented as in a list where it begins one."""
    glued = re.sub("`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    indent = "  " if text.startswith("* ") else ""
    lines = textwrap.wrap(
        glued, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ")


def _entry(name: str) -> str:
    field = Settings.model_fields[name]
    limits = ", ".join(filter(None, [_default(field), _range(field)]))
    head = f"* **`{environment_name(name)}`**" + (f" ({limits})" if limits else "")
    return _wrapped(f"{head}: {field.description}")


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default == ():
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _range(field: FieldInfo) -> str:
    bounds = {
        key: getattr(item, key) for item in field.metadata for key in ("gt", "ge", "le") if hasattr(item, key)
    }
    least = f"above {bounds['gt']}" if "gt" in bounds else f"{bounds.get('ge', '')}"
    if "le" in bounds:
        return f"{least} to {bounds['le']}"
    return f"{least} or more" if "ge" in bounds else least


def documented_settings() -> str:
    text = (DOCS / "settings.md").read_text()
    return text[text.index(BEGIN) : text.index(END) + len(END)]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_as_it_is(name: str) -> None:
    assert f"\n{_entry(name)}\n" in documented_settings()


def test_settings_are_documented_in_their_groups_and_no_others_are() -> None:
    assert documented_settings() == settings_part(), "python tests/backend/test_serving_docs.py writes them"


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
    page = DOCS / "settings.md"
    page.write_text(page.read_text().replace(documented_settings(), settings_part()))
