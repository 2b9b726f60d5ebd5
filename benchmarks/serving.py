"""The serving engine and the server that runs it: parts and whole, limits of the machine, HTTP, memory.

    python benchmarks/serving.py                                     everything, small, needs nothing
    python benchmarks/serving.py parts --weights coco --image photo.jpg --d2go d2go.pt --rounds 31
    python benchmarks/serving.py sizes --weights coco --image photo.jpg --other yolo11n-seg.onnx --rounds 15
    python benchmarks/serving.py server --tasks 250 --rounds 9
    python benchmarks/serving.py memory --requests 5000

`parts`: torch run the original's way, prelabel's torch engine and ONNX Runtime, part by part and whole, beside what a
matrix product and a copy reach on this machine; and with `--d2go` beside that int8 export. `sizes`: larger inputs and
more proposals, and with `--other` beside a network in an ONNX file, such as `yolo export model=yolo11n-seg.yaml
format=onnx` of the package ultralytics makes. `server`: a real
`prelabel serve` with pictures from a web server of this machine. `memory`: the same for many requests.

Variants take turns, round by round; a ratio is the median over the rounds, milliseconds are medians, too. Exports are
kept where prelabel keeps them (MODEL_DIR), the rest in a folder that is removed. Numbers mean most on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring import bound, input_sizes, memory, parts, peer, server
from measuring.sheets import Sheet, write
from measuring.subject import SIZES, picture, subject

from fbnetv3.engines.exports import ExportError
from fbnetv3.images import ImageError
from fbnetv3.weights import WeightsError


def main() -> None:
    """Command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    options = _options()
    try:
        _run(options)
    except (WeightsError, ExportError, ImageError) as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace) -> None:
    measures = [MEASURES[options.what]] if options.what != "all" else list(MEASURES.values())
    sheets: list[Sheet] = []
    for measure in measures:
        for sheet in measure(options):
            sheet.show()
            sheets.append(sheet)
            if options.json:
                write(sheets, options.json)


def measure_parts(options: argparse.Namespace) -> Iterator[Sheet]:
    """The engines."""
    image = picture(options.image)
    machine = bound.machine(options.threads)
    yield bound.machine_sheet(machine)
    for name, size in SIZES.items():
        yield from parts.measure(
            subject(name, size, options.weights, image, options.threads), machine, options.rounds
        )
    if options.d2go:
        yield peer.measure(options.d2go, options.weights, image, options.threads, options.rounds)


def measure_sizes(options: argparse.Namespace) -> Iterator[Sheet]:
    """Input sizes."""
    image = picture(options.image)
    yield input_sizes.measure(options.other, options.weights, image, options.threads, options.rounds)


def measure_server(options: argparse.Namespace) -> Iterator[Sheet]:
    """HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        yield from server.measure(
            Path(folder), options.weights, options.threads, options.tasks, options.rounds
        )


def measure_memory(options: argparse.Namespace) -> Iterator[Sheet]:
    """Memory."""
    with tempfile.TemporaryDirectory() as folder:
        yield from memory.measure(Path(folder), options.weights, options.threads, options.requests)


MEASURES = {
    "parts": measure_parts,
    "sizes": measure_sizes,
    "server": measure_server,
    "memory": measure_memory,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=(*MEASURES, "all"), default="all")
    parser.add_argument("--weights", default="starter", help="a name or a file, of a network with masks")
    parser.add_argument("--image", type=Path, help="a photo for `parts`; default: a drawn scene")
    parser.add_argument("--d2go", type=Path, help="d2go.pt, the int8 export to compare with")
    parser.add_argument("--other", type=Path, help="an ONNX file of one image as input, for `sizes`")
    parser.add_argument("--threads", type=int, help="CPU threads of one inference; default: one per core")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=16, help="per measurement of `server`")
    parser.add_argument("--requests", type=int, default=200, help="of `memory`")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
