"""An image of one's own, shown to what serves: what it finds from which score on, and what it makes of a drawn box. The
network runs once.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, ctx, dcc, html
from dash.exceptions import PreventUpdate

from fbnetv3.drawing import draw
from fbnetv3.images import read_image
from prelabel.console.charts import picture_chart
from prelabel.console.context import Context
from prelabel.console.looks import Look, Looks, of_bounded_size
from prelabel.console.parts import CHART, Children, copyable, empty, problem, section, table
from prelabel.console.pictures import as_data_url
from prelabel.errors import FORESEEN
from prelabel.overview.projects import project_overviews

UPLOAD, WHO, SCORE, NMS = "try-upload", "try-who", "try-score", "try-nms"
SEEN, BOX, SHOWN, PICTURE = "try-seen", "try-box", "try-shown", "try-picture"

BASE = "base"
USUAL_SCORE, USUAL_NMS = 0.3, 0.5
"""Of the settings, and of the network: it has dropped what overlaps by more."""

MOST_AT_ONCE = 2
MOST_LISTED = 30


def page(context: Context) -> tuple[str, Children]:
    """The page at /console/try."""
    projects = project_overviews(context.settings, context.database)
    answers = [
        {"value": str(one.project_id), "label": f"{context.title(one.project_id)}: {one.answers}"}
        for one in projects
    ]
    chosen = dmc.MultiSelect(
        data=[{"value": BASE, "label": "base weights"}, *answers],
        value=[BASE],
        id=WHO,
        label="What looks at it",
        description="one, or two side by side",
        maxValues=MOST_AT_ONCE,
    )
    megabytes = context.settings.prelabel_max_image_bytes >> 20
    drop = dcc.Upload(
        dmc.Center(
            dmc.Text(f"Drop an image of up to {megabytes} MB here, or click to choose one", ta="center"), h=96
        ),
        id=UPLOAD,
        accept="image/*",
        max_size=context.settings.prelabel_max_image_bytes,
        className="drop",
    )
    sliders = [
        _slider(SCORE, "Regions from this score on", USUAL_SCORE),
        _slider(NMS, "Regions of one label overlap by this IoU at most", USUAL_NMS, USUAL_NMS),
    ]
    controls = section("Image", dmc.Stack([drop, chosen, *sliders]))
    shown = html.Div(empty("What it finds is drawn here. The image is not stored in Label Studio."), id=SHOWN)
    return "Try it", [
        dcc.Store(id=SEEN),
        dcc.Store(id=BOX),
        dmc.Grid(
            [
                dmc.GridCol(controls, span={"base": 12, "md": 4}),
                dmc.GridCol(section("What it finds", shown), span={"base": 12, "md": 8}),
            ]
        ),
    ]


def _slider(name: str, title: str, value: float, most: float = 1.0) -> Children:
    marks = [{"value": most * part / 4, "label": f"{most * part / 4:g}"} for part in range(5)]
    slider = dmc.Slider(
        id=name,
        value=value,
        min=0,
        max=most,
        step=0.01,
        marks=marks,
        updatemode="mouseup",
        mb="lg",
        thumbLabel=title,
    )
    return dmc.Stack([dmc.Text(title, size="sm", fw=500), slider], gap=4)


def register(app: Dash, context: Context) -> None:
    """An image is looked at once; sliders and boxes read what was made of it."""
    looks = Looks()

    @app.callback(
        Output(SEEN, "data"),
        Output(BOX, "data"),
        Input(UPLOAD, "contents"),
        Input(WHO, "value"),
        prevent_initial_call=True,
    )
    def look(contents: str | None, who: list[str] | None) -> Any:
        if not contents or not who:
            raise PreventUpdate
        try:
            pixels = of_bounded_size(
                read_image(_decoded(contents), context.settings.prelabel_max_image_pixels)
            )
            asked = [context.predictor(None if one == BASE else int(one)) for one in who[:MOST_AT_ONCE]]
            seen = [looks.keep(Look.of(one.detector, pixels)) for one in asked]
        except FORESEEN as error:
            return {"problem": str(error)}, None
        return {"keys": seen}, None

    @app.callback(
        Output(BOX, "data", allow_duplicate=True),
        Input({"role": PICTURE, "place": ALL}, "relayoutData"),
        prevent_initial_call=True,
    )
    def drawn(changes: list[dict[str, Any] | None]) -> list[float]:
        """The last box that somebody drew."""
        shapes = [change["shapes"][-1] for change in changes if change and change.get("shapes")]
        if not shapes:
            raise PreventUpdate
        x0, y0, x1, y1 = (float(shapes[-1][side]) for side in ("x0", "y0", "x1", "y1"))
        return [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]

    @app.callback(
        Output(SHOWN, "children"),
        Input(SEEN, "data"),
        Input(SCORE, "value"),
        Input(NMS, "value"),
        Input(BOX, "data"),
        prevent_initial_call=True,
    )
    def show(seen: dict[str, Any] | None, score: float, nms: float, box: list[float] | None) -> Children:
        if not seen:
            raise PreventUpdate
        if "problem" in seen:
            return problem(seen["problem"])
        known = [looks.get(key) for key in seen["keys"]]
        if ctx.triggered_id != BOX:
            box = None
        parts = [_shown(one, place, score, nms, box) for place, one in enumerate(known) if one]
        if not parts:
            return empty("The server has forgotten this image: drop it again.")
        command = copyable(f"prelabel predict IMAGE --draw FOLDER --threshold {score:g}")
        return [dmc.SimpleGrid(parts, cols={"base": 1, "xl": len(parts)}), command]


def _shown(look: Look, place: int, score: float, nms: float, box: list[float] | None) -> Children:
    started = time.perf_counter()
    found = look.from_score(score, nms)
    title, pixels = f"{len(found)} regions by {look.version}", look.features.pixels
    if box:
        prompted = look.detector.mask_in_box(look.features, np.array(box, np.float32))
        named = f"{prompted.labels[0]} {prompted.scores[0]:.2f}" if len(prompted) else "nothing"
        title, found = f"{named} in the drawn box, by {look.version}", prompted
    picture = dcc.Graph(
        figure=picture_chart(as_data_url(draw(pixels, found)), pixels.shape[1], pixels.shape[0], box),
        id={"role": PICTURE, "place": place},
        config=CHART,
    )
    times = f"The network took {look.milliseconds} ms, this view {_ms(started)} ms."
    rows = [
        [found.labels[i], f"{found.scores[i]:.2f}", _size(found.boxes[i])]
        for i in range(min(len(found), MOST_LISTED))
    ]
    return dmc.Stack(
        [
            html.Figure(picture, className="plain", title=title),
            dmc.Text(title, fw=600),
            dmc.Text(f"{times} Draw a box to have its object cut out.", size="sm", c="dimmed"),
            *([table(("label", "score", "box, pixels"), rows, ("score", "box, pixels"))] if rows else []),
        ],
        gap="xs",
    )


def _decoded(contents: str) -> bytes:
    """What is no image is left to `read_image`."""
    try:
        return base64.b64decode(contents.partition(",")[2], validate=True)
    except binascii.Error:
        return b""


def _ms(started: float) -> int:
    return round(1000 * (time.perf_counter() - started))


def _size(box: np.ndarray[Any, Any]) -> str:
    x0, y0, x1, y1 = box.tolist()
    return f"{x1 - x0:.0f} x {y1 - y0:.0f}"
