"""`prelabel weights`: list what there is, fetch it, import a file, look into one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from prelabel.cli.common import errors_in_one_sentence, fail

if TYPE_CHECKING:
    from fbnetv3.weights import Checkpoint
    from fbnetv3.weights.download import Progress as ShowProgress

app = typer.Typer(help="List, fetch, import and show the weights of the network.", no_args_is_help=True)
# Names and labels are the user's; brackets in them are no markup.
console = Console(markup=False, highlight=False)

_MEBIBYTE = 1 << 20
# Enough to see whether the names are the right ones; `show` prints all.
_LABELS_SHOWN = 5


class _Row(NamedTuple):
    """One line of `prelabel weights list`."""

    name: str
    here: str
    box_ap: str
    mask_ap: str
    size: str
    licence: str
    network: str


@app.command("list")
def list_weights() -> None:
    """List the weights that come with prelabel, are published, or were imported."""
    from fbnetv3.weights import default_folder
    from fbnetv3.weights.folders import STARTER, stored_names
    from fbnetv3.weights.zoo import ZOO

    rows = [_row(name) for name in dict.fromkeys([STARTER, *ZOO, *stored_names()])]
    licences = list(dict.fromkeys(row.licence for row in rows if row.licence))
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("name", "here", "box AP", "mask AP", "size", "licence"):
        table.add_column(heading, no_wrap=True)
    table.add_column("network", overflow="fold")
    for row in rows:
        licence = f"[{licences.index(row.licence) + 1}]" if row.licence else ""
        network = "as named" if row.network == row.name else row.network
        table.add_row(row.name, row.here, row.box_ap, row.mask_ap, row.size, licence, network)
    console.print(table)
    notes = ["AP: as published, COCO val2017", *(f"[{n}]: {text}" for n, text in enumerate(licences, 1))]
    console.print("\n".join([*notes, f"store: {default_folder()}"]), soft_wrap=True)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="Name of the weights in `prelabel weights list`.")],
    force: Annotated[
        bool, typer.Option("--force", help="Fetch the weights again although they are here.")
    ] = False,
) -> None:
    """Fetch published weights, verify them, and store them in prelabel's own format."""
    from fbnetv3.trial import try_out
    from fbnetv3.weights import load_checkpoint, store
    from fbnetv3.weights.folders import find_weights
    from fbnetv3.weights.zoo import ZOO

    if not force and (path := find_weights(name)):
        console.print(f"{name} is here already: {path}", soft_wrap=True)
        return
    with errors_in_one_sentence():
        with _download_bar(name) as show:
            path = store.pull(name, try_out, progress=show)
        checkpoint = load_checkpoint(path)
    console.print(f"Stored {path} ({_summary(checkpoint)}).", soft_wrap=True)
    if not ZOO[name].sha256:
        console.print(
            "The file could not be verified, because no SHA-256 is published for it; "
            f"it has {checkpoint.provenance['sha256']}.",
            style="yellow",
            soft_wrap=True,
        )


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="A d2go .pth, a d2go.pt int8 export, or a .safetensors file.")],
    name: Annotated[
        str | None, typer.Option(help="Name to store the weights under (default: the file's name).")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Class names in the network's order: a,b,c, or @FILE with one name per line."),
    ] = None,
    ema: Annotated[
        bool, typer.Option("--ema", help="Import the averaged weights of the checkpoint, d2go's ema_state.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace stored weights of the same name.")] = False,
) -> None:
    """Store the weights of a file under a name, after a trial run of the network."""
    from fbnetv3.trial import try_out
    from fbnetv3.weights import load_checkpoint
    from fbnetv3.weights.d2go import AVERAGED
    from fbnetv3.weights.store import import_file

    with errors_in_one_sentence():
        names = None if labels is None else _parse_labels(labels)
        path = import_file(file, try_out, name, names, overwrite=force, ema=ema)
        checkpoint = load_checkpoint(path)
    console.print(f"Stored {path} ({_summary(checkpoint)}).", soft_wrap=True)
    shown = ", ".join(checkpoint.labels[:_LABELS_SHOWN])
    console.print(
        f"Labels: {shown}{', ...' if len(checkpoint.labels) > _LABELS_SHOWN else ''}", soft_wrap=True
    )
    if note := checkpoint.provenance.get(AVERAGED):
        console.print(f"Averaged weights: {note}", soft_wrap=True)


@app.command()
def show(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="A weights file, or a name that `prelabel weights list` shows."
        ),
    ],
) -> None:
    """Show the network, the labels and the origin of weights."""
    from fbnetv3.weights import load_checkpoint

    with errors_in_one_sentence():
        checkpoint = load_checkpoint(weights)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("model", checkpoint.model)
    table.add_row("finds", "boxes and masks" if checkpoint.has_masks else "boxes")
    table.add_row("labels", f"{len(checkpoint.labels)}: {', '.join(checkpoint.labels)}")
    table.add_row("parameters", f"{checkpoint.parameter_count:,}")
    table.add_row("digest", checkpoint.digest)
    for section, values in (("settings", checkpoint.settings), ("provenance", checkpoint.provenance)):
        for index, (key, value) in enumerate(values.items()):
            table.add_row("" if index else section, f"{key}: {value}")
    console.print(table)


@contextmanager
def _download_bar(name: str) -> Iterator[ShowProgress]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"fetching {name}", total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


def _row(name: str) -> _Row:
    from fbnetv3.weights.folders import find_weights
    from fbnetv3.weights.zoo import ZOO

    entry, path = ZOO.get(name), find_weights(name)
    network, licence = (entry.model, entry.licence) if entry else ("", "")
    if path and path.suffix == ".safetensors":
        network, licence = _network_and_licence(path)
    box_ap, mask_ap = (entry.box_ap, entry.mask_ap) if entry else (None, None)
    size = path.stat().st_size if path else entry.size if entry else None
    return _Row(
        name=name,
        here="yes" if path else "no",
        box_ap="" if box_ap is None else f"{box_ap:.2f}",
        mask_ap="" if mask_ap is None else f"{mask_ap:.2f}",
        size="" if size is None else f"{size / _MEBIBYTE:.1f} MiB",
        licence=licence,
        network=network,
    )


def _network_and_licence(path: Path) -> tuple[str, str]:
    from fbnetv3.weights import WeightsError
    from fbnetv3.weights.safetensors_file import read_header

    try:
        header = read_header(path)
    except WeightsError:
        return "damaged", ""
    return header.model, header.provenance.get("licence", "")


def _summary(checkpoint: Checkpoint) -> str:
    finds = "boxes and masks" if checkpoint.has_masks else "boxes"
    return f"{checkpoint.model}, {finds} of {len(checkpoint.labels)} classes"


def _parse_labels(text: str) -> list[str]:
    if not text.startswith("@"):
        return [label.strip() for label in text.split(",")]
    try:
        lines = Path(text[1:]).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the labels cannot be read from {text[1:]}: {error}")
    return [line.strip() for line in lines if line.strip()]
