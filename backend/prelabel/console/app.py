"""The console as a WSGI application: Dash with the pages, their guard, and the frame around them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dash import ALL, MATCH, Dash, Input, Output, State, ctx, no_update, set_props
from dash.exceptions import PreventUpdate
from flask import Flask, Response

from prelabel.console.actions import ACTIONS, carry_out
from prelabel.console.context import Context
from prelabel.console.frame import CONFIRM, FRAME, confirmation, frame, told
from prelabel.console.guard import TOKEN_COOKIE, TOKEN_HEADER, guard
from prelabel.console.pages import LIVE, page_at, register_pages
from prelabel.console.parts import ROOT
from prelabel.errors import FORESEEN
from prelabel.settings import Settings

logger = logging.getLogger(__name__)

OTHER_BYTES = 1 << 20
"""Of a request besides an image."""

INDEX = """<!DOCTYPE html>
<html lang="en">
    <head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}</head>
    <body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def create_console(context: Context) -> Flask:
    """The console of one server process, to be called with addresses that begin with /console/."""
    server = Flask("prelabel.console", static_folder=None)
    # An image travels in Base64.
    server.config["MAX_CONTENT_LENGTH"] = context.settings.prelabel_max_image_bytes * 4 // 3 + OTHER_BYTES
    _guard(server, context.settings)
    app = Dash(
        "prelabel.console",
        server=server,  # type: ignore[arg-type]  # a Flask application is what it is for
        title="prelabel",
        update_title=None,  # type: ignore[arg-type]  # Dash takes None for "leave the title alone"
        url_base_pathname=f"{ROOT}/",
        assets_folder=str(Path(__file__).with_name("assets")),
        suppress_callback_exceptions=True,
        csrf_token_name=TOKEN_COOKIE,
        csrf_header_name=TOKEN_HEADER,
        index_string=INDEX,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
        on_error=_tell,
        enable_mcp=False,
    )
    app.layout = frame
    _route(app, context)
    _keep_alive(app, context)
    _act(app, context)
    register_pages(app, context)
    server.after_request(_headers(app))
    return server


def _tell(error: Exception) -> None:
    """What goes wrong while a part of a page is made is told at its edge; the part stays as it was."""
    if isinstance(error, FORESEEN):
        sentence = str(error)
    else:
        logger.error("a part of the console could not be made", exc_info=error)
        sentence = "This part of the page could not be made: the server's log says why."
    set_props(CONFIRM.told, {"sendNotifications": [told(sentence, "Could not refresh", False)]})


def _guard(server: Flask, settings: Settings) -> None:
    names = {*settings.prelabel_console_hosts, settings.host}
    guard(server, names, is_password_protected=settings.basic_auth is not None)


def _route(app: Dash, context: Context) -> None:
    @app.callback(
        Output(FRAME.page, "children"),
        Output(FRAME.title, "children"),
        Input(FRAME.url, "pathname"),
        Input(CONFIRM.changed, "data"),
    )
    def show(path: str | None, _: Any) -> Any:
        """The page at the address, also after something was changed on it."""
        title, content = page_at(context, unquote(path or f"{ROOT}/"))
        return content, title


def _keep_alive(app: Dash, context: Context) -> None:
    """Makes the content of `live` parts anew."""
    place = {"name": MATCH, "args": MATCH}

    @app.callback(
        Output({"role": "live", **place}, "children"),
        Input({"role": "tick", **place}, "n_intervals"),
        State({"role": "tick", **place}, "id"),
        prevent_initial_call=True,
    )
    def refresh(_: int, place: dict[str, str]) -> Any:
        if place["name"] not in LIVE:
            raise PreventUpdate
        return LIVE[place["name"]](context, *filter(None, place["args"].split("/")))


def _act(app: Dash, context: Context) -> None:
    """A button asks; what is confirmed is done, and told."""

    @app.callback(
        Output(CONFIRM.dialog, "opened"),
        Output(CONFIRM.content, "children"),
        Output(CONFIRM.pending, "data"),
        Input({"role": "do", "action": ALL, "project": ALL, "of": ALL}, "n_clicks"),
        Input(CONFIRM.no, "n_clicks"),
        prevent_initial_call=True,
    )
    def ask(clicks: list[int | None], _: int) -> Any:
        wanted = ctx.triggered_id
        if wanted == CONFIRM.no:
            return False, no_update, None
        if not isinstance(wanted, dict) or not any(one["value"] for one in ctx.triggered):
            raise PreventUpdate
        action = ACTIONS[wanted["action"]]
        given = wanted["project"], wanted["of"]
        return True, confirmation(action.question(*given), action.command(*given), action.is_severe), wanted

    @app.callback(
        Output(CONFIRM.told, "sendNotifications"),
        Output(CONFIRM.dialog, "opened", allow_duplicate=True),
        Output(CONFIRM.changed, "data"),
        Output(CONFIRM.pending, "data", allow_duplicate=True),
        Input(CONFIRM.yes, "n_clicks"),
        State(CONFIRM.pending, "data"),
        prevent_initial_call=True,
    )
    def do(clicks: int, wanted: dict[str, Any] | None) -> Any:
        if not wanted:
            raise PreventUpdate
        note = carry_out(context, wanted["action"], int(wanted["project"]), str(wanted["of"]))
        return [note], False, clicks, None


def _headers(app: Dash) -> Any:
    """What browsers are to allow the pages: nothing from elsewhere, and no page of another site around them."""
    scripts = " ".join(["'self'", *app.csp_hashes()])
    policy = (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
    )
    kept = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
    }

    def add(response: Response) -> Response:
        response.headers.update(kept)
        return response

    return add
