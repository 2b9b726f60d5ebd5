"""How a command ends when the user can mend the cause: one sentence, exit code 1, no traceback."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape


def fail(message: str) -> NoReturn:
    """Print `message` on stderr and end the command with exit code 1."""
    Console(stderr=True).print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
