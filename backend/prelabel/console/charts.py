"""Charts of figures over versions and over the steps of a run; their colours suit a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import plotly.graph_objects as go

from fbnetv3.judging.calibration import Calibration, ScoredRegion
from prelabel.console.parts import figure, share
from prelabel.store.version_figures import VersionFigures

QUIET = "rgba(128, 128, 128, 0.9)"
GRID = "rgba(128, 128, 128, 0.25)"
SERIES = (
    ("needs no edit", "no_edit_share", "#0ca678"),
    ("box AP50", "box_AP50", "#4c6ef5"),
    ("mask AP50", "mask_AP50", "#e8590c"),
)
REASON_WIDTH = 60
BINS = 10
FEW_LABELS = 10
"""Over so few, an axis would be marked at fractions of labels."""


def quality_chart(versions: Sequence[VersionFigures]) -> go.Figure:
    """Shares and AP of judged versions by the number of labelled tasks; promoted ones filled, rejected ones hollow."""
    chart = go.Figure(layout=_layout("labelled tasks"))
    places = [_labelled(one, number) for number, one in enumerate(versions, 1)]
    for name, field, colour in SERIES:
        values = [getattr(one.judged, field) for one in versions]
        if any(value is not None for value in values):
            symbols = ["circle" if one.was_promoted else "circle-open" for one in versions]
            chart.add_scatter(
                x=places,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"symbol": symbols, "size": 10},
                customdata=[_hover(one) for one in versions],
                hovertemplate="%{customdata}<extra>%{fullData.name} %{y:.2f}</extra>",
            )
    chart.update_yaxes(range=[0, 1.05])
    if max(places) - min(places) < FEW_LABELS:
        chart.update_xaxes(dtick=1)
    return chart


def curves_chart(steps: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> go.Figure:
    """Losses over the steps of a run."""
    chart = go.Figure(layout=_layout("step"))
    for name, values in curves.items():
        chart.add_scatter(x=steps, y=values, name=name, mode="lines+markers", marker={"size": 4})
    return chart


def picture_chart(address: str, width: int, height: int, box: Sequence[float] | None = None) -> go.Figure:
    """A picture on which a box can be drawn, in pixels of the image. `box`: x0, y0, x1, y1 of one that was."""
    layout = _layout("") | {"margin": dict.fromkeys("ltrb", 0), "dragmode": "drawrect", "uirevision": address}
    chart = go.Figure(layout=layout | {"newshape": {"line": {"color": SERIES[2][2], "width": 2}}})
    chart.add_layout_image(
        source=address,
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    if box:
        x0, y0, x1, y1 = box
        chart.add_shape(type="rect", x0=x0, y0=y0, x1=x1, y1=y1, line={"color": SERIES[2][2], "width": 2})
    chart.update_xaxes(visible=False, range=[0, width])
    chart.update_yaxes(visible=False, range=[height, 0], scaleanchor="x")
    return chart


def calibration_chart(regions: Sequence[ScoredRegion], calibration: Calibration | None) -> go.Figure:
    """How often regions of about one score were right, with how many they were, and what the calibration says of it."""
    chart = go.Figure(layout=_layout("score"))
    binned: list[list[bool]] = [[] for _ in range(BINS)]
    for region in regions:
        binned[min(int(region.score * BINS), BINS - 1)].append(region.kept)
    places = [place for place, kept in enumerate(binned) if kept]
    chart.add_scatter(
        x=[(place + 0.5) / BINS for place in places],
        y=[sum(binned[place]) / len(binned[place]) for place in places],
        customdata=[len(binned[place]) for place in places],
        hovertemplate="%{y:.0%} of %{customdata} regions were right<extra></extra>",
        mode="markers",
        marker={"size": 10, "color": SERIES[0][2]},
        name="right",
    )
    if calibration:
        scores = np.linspace(0.01, 0.99, 99)
        chart.add_scatter(
            x=scores, y=calibration(scores), mode="lines", line={"color": SERIES[1][2]}, name="calibration"
        )
    chart.update_yaxes(range=[0, 1.05])
    chart.update_xaxes(range=[0, 1])
    return chart


def small_curve(shares: Sequence[float]) -> str:
    """Two or more shares, 0..1, as the address of a picture that is as wide as what it stands in."""
    width, height = 100.0, 30.0
    step = width / (len(shares) - 1)
    points = " ".join(f"{step * place:.1f},{height * (1 - value):.1f}" for place, value in enumerate(shares))
    pen = f'stroke="{SERIES[0][2]}" stroke-width="2" vector-effect="non-scaling-stroke"'
    line = f'<polyline points="{points}" fill="none" {pen}/>'
    ground = f'<line x1="0" y1="{height}" x2="{width}" y2="{height}" stroke="gray" stroke-width="1" opacity="0.5"/>'
    box = f'viewBox="0 -2 {width} {height + 4}" preserveAspectRatio="none"'
    return "data:image/svg+xml," + quote(
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{ground}{line}</svg>'
    )


def _labelled(one: VersionFigures, number: int) -> int:
    """Labelled tasks when its run read them; versions that no run made stand by their number."""
    return one.labelled or one.judged.images or number


def _hover(one: VersionFigures) -> str:
    words, lines = one.reason.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > REASON_WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    judged = one.judged
    figures = f"no edit {share(judged.no_edit_share)}, AP50 {figure(judged.box_AP50)}"
    heading = f"<b>{one.name}</b>, {one.state}, {figures}"
    return "<br>".join([heading, *(_escaped(line.strip()) for line in lines)])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _layout(x_title: str) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID}
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": QUIET, "family": "system-ui, sans-serif"},
        "margin": {"l": 40, "r": 16, "t": 8, "b": 40},
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {**axis, "title": {"text": x_title}},
        "yaxis": axis,
        "hovermode": "closest",
        "uirevision": "kept",
    }
