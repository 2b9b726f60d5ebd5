"""What the demo is doing, on the terminal: one line per step, with a bar while it is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

OnProgress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


@contextmanager
def step(console: Console, title: str) -> Iterator[OnProgress]:
    """Show that something is under way, how far it is once that is known, and afterwards how long it took."""
    started = time.monotonic()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
    seconds = time.monotonic() - started
    console.print(f"✓ {title} ({seconds:.0f} s)", markup=False, highlight=False)
