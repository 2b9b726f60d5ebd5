"""What stands around every page: header, theme, the dialog that asks before something is changed, what was done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from prelabel.console.parts import address, copyable

FRAME = SimpleNamespace(url="url", page="page", title="title")
CONFIRM = SimpleNamespace(
    dialog="confirm",
    content="confirm-content",
    pending="pending",
    yes="confirm-yes",
    no="confirm-no",
    told="told",
    changed="changed",
)

ACCENT = "teal"
WIDEST = 1440

PAGES = (("Overview", ()), ("Try it", ("try",)), ("Changes", ("changes",)))


def frame() -> Component:
    """The layout of the whole application."""
    links = [dmc.Anchor(name, href=address(*path), underline="hover", c="inherit") for name, path in PAGES]
    brand = dmc.Anchor("prelabel", href=address(), fw=700, size="lg", underline="never")
    header = dmc.Group(
        [
            dmc.Group([brand, *links], gap="lg"),
            dmc.ColorSchemeToggle(
                lightIcon="☀", darkIcon="☾", variant="subtle", color="gray", **{"aria-label": "dark or light"}
            ),
        ],
        justify="space-between",
        h="100%",
        px="md",
        wrap="nowrap",
    )
    away = dmc.Alert(
        "The server does not answer. The page goes on by itself as soon as it does.",
        color="red",
        variant="filled",
        radius=0,
        className="connection",
    )
    main = dmc.Container(
        [html.H1(id=FRAME.title, className="title"), html.Div(dmc.Loader(size="sm"), id=FRAME.page)],
        size=WIDEST,
        px="md",
        py="md",
    )
    return dmc.MantineProvider(
        [
            html.A("Skip to the content", href="#main", className="skip"),
            dcc.Location(id=FRAME.url),
            dcc.Store(id=CONFIRM.pending),
            dcc.Store(id=CONFIRM.changed),
            dmc.NotificationContainer(id=CONFIRM.told, position="top-right"),
            _dialog(),
            dmc.AppShell(
                [dmc.AppShellHeader(header), dmc.AppShellMain([away, main], id="main")],
                header={"height": 52},
                padding=0,
            ),
        ],
        theme={"primaryColor": ACCENT, "defaultRadius": "md", "primaryShade": {"light": 9, "dark": 9}},
        defaultColorScheme="auto",
    )


def _dialog() -> Component:
    return dmc.Modal(
        [
            html.Div(id=CONFIRM.content),
            dmc.Group(
                [
                    dmc.Button("Not now", id=CONFIRM.no, variant="default", **{"data-autofocus": True}),
                    dmc.Button("Yes", id=CONFIRM.yes),
                ],
                justify="flex-end",
                mt="md",
            ),
        ],
        id=CONFIRM.dialog,
        title="Sure?",
        closeButtonProps={"aria-label": "close"},
        centered=True,
        opened=False,
    )


def confirmation(question: str, command: str, is_severe: bool) -> Component:
    """What the dialog says."""
    return dmc.Stack(
        [
            dmc.Text(question, c="red" if is_severe else None),
            dmc.Text("The same on the command line:", size="sm", c="dimmed"),
            copyable(command),
        ],
        gap="xs",
    )


def told(sentence: str, title: str, done: bool) -> dict[str, Any]:
    """What was done, or why it was not, at the edge of the page; a failure stays until it is closed."""
    return {
        "action": "show",
        "id": f"told-{abs(hash(sentence))}",
        "title": title,
        "message": sentence,
        "color": ACCENT if done else "red",
        "autoClose": 6000 if done else False,
        "closeButtonProps": {"aria-label": "close"},
    }
