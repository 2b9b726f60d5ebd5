"""An image of one's own, shown to a version: what it finds from which score on, without running the network again."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, dcc, html
from dash.exceptions import PreventUpdate

from fbnetv3.drawing import draw
from fbnetv3.images import read_image
from prelabel.console.context import Context
from prelabel.console.looks import Look, Looks
from prelabel.console.parts import Children, copyable, empty, problem, section, table
from prelabel.console.pictures import as_data_url
from prelabel.errors import FORESEEN
from prelabel.overview.projects import project_overviews

UPLOAD, WHO, SCORE, NMS, SEEN, SHOWN = (
    "try-upload",
    "try-who",
    "try-score",
    "try-nms",
    "try-seen",
    "try-shown",
)

BASE = "base weights"
USUAL_SCORE, USUAL_NMS = 0.3, 0.5
MOST_LISTED = 30


def page(context: Context) -> tuple[str, Children]:
    """The page at /console/try."""
    projects = project_overviews(context.settings, context.database)
    answers = [
        {"value": str(one.project_id), "label": f"{context.title(one.project_id)}: {one.answers}"}
        for one in projects
    ]
    chosen = dmc.Select(
        data=[{"value": "", "label": BASE}, *answers],
        value="",
        id=WHO,
        label="What looks at it",
        allowDeselect=False,
    )
    drop = dcc.Upload(
        dmc.Center(dmc.Text("Drop an image here, or click to choose one"), h=96),
        id=UPLOAD,
        accept="image/*",
        className="drop",
    )
    sliders = [
        _slider(SCORE, "Regions from this score on", USUAL_SCORE),
        _slider(NMS, "Regions of one label overlap by this IoU at most", USUAL_NMS),
    ]
    controls = section("Image", dmc.Stack([drop, chosen, *sliders]))
    shown = html.Div(empty("What it finds is drawn here. The image is not stored in Label Studio."), id=SHOWN)
    return "Try it", [
        dcc.Store(id=SEEN),
        dmc.Grid(
            [
                dmc.GridCol(controls, span={"base": 12, "md": 4}),
                dmc.GridCol(
                    section("What it finds", dcc.Loading(shown, type="dot")), span={"base": 12, "md": 8}
                ),
            ]
        ),
    ]


def _slider(name: str, title: str, value: float) -> Children:
    marks = [{"value": mark, "label": f"{mark:g}"} for mark in (0, 0.25, 0.5, 0.75, 1)]
    slider = dmc.Slider(
        id=name,
        value=value,
        min=0,
        max=1,
        step=0.01,
        marks=marks,
        updatemode="drag",
        mb="lg",
        thumbLabel=title,
    )
    return dmc.Stack([dmc.Text(title, size="sm", fw=500), slider], gap=4)


def register(app: Dash, context: Context) -> None:
    """An image is looked at once; sliders choose of what was found."""
    looks = Looks()

    @app.callback(
        Output(SEEN, "data"),
        Input(UPLOAD, "contents"),
        Input(WHO, "value"),
        prevent_initial_call=True,
    )
    def look(contents: str | None, who: str | None) -> dict[str, Any]:
        if not contents:
            raise PreventUpdate
        try:
            pixels = read_image(_decoded(contents), context.settings.prelabel_max_image_pixels)
            predictor = context.predictor(int(who) if who else None)
            started = time.perf_counter()
            features = predictor.detector.set_image(pixels)
            return {
                "key": looks.keep(Look(predictor.detector, features, predictor.version)),
                "ms": _ms(started),
            }
        except FORESEEN as error:
            return {"problem": str(error)}

    @app.callback(
        Output(SHOWN, "children"),
        Input(SEEN, "data"),
        Input(SCORE, "value"),
        Input(NMS, "value"),
        prevent_initial_call=True,
    )
    def show(seen: dict[str, Any] | None, score: float, nms: float) -> Children:
        if not seen:
            raise PreventUpdate
        if "problem" in seen:
            return problem(seen["problem"])
        known = looks.get(seen["key"])
        if known is None:
            return empty("The server has forgotten this image: drop it again.")
        started = time.perf_counter()
        found = known.from_score(score, nms)
        picture = draw(known.features.pixels, found)
        times = f"The network took {seen['ms']} ms, this view {_ms(started)} ms."
        words = f"{len(found)} regions by {known.version}. {times}"
        rows = [
            [found.labels[i], f"{found.scores[i]:.2f}", _size(found.boxes[i])]
            for i in range(min(len(found), MOST_LISTED))
        ]
        return [
            html.Img(src=as_data_url(picture), alt=f"{len(found)} regions", className="picture"),
            dmc.Text(words, size="sm", c="dimmed", my="xs"),
            *([table(("label", "score", "box, pixels"), rows, ("score", "box, pixels"))] if rows else []),
            copyable(f"prelabel predict IMAGE --draw FOLDER --threshold {score:g}"),
        ]


def _decoded(contents: str) -> bytes:
    """Raises ImageError through `read_image` for what is no image."""
    try:
        return base64.b64decode(contents.partition(",")[2], validate=True)
    except binascii.Error:
        return b""


def _ms(started: float) -> int:
    return round(1000 * (time.perf_counter() - started))


def _size(box: np.ndarray[Any, Any]) -> str:
    x0, y0, x1, y1 = box.tolist()
    return f"{x1 - x0:.0f} x {y1 - y0:.0f}"
