"""A campaign of hostile input and faults: does all that goes wrong end in a sentence, and nothing wrong go through?

    python benchmarks/robustness.py                          every part, small: some minutes on two cores
    python benchmarks/robustness.py --full                   the whole campaign: hours
    python benchmarks/robustness.py images coco --trials 5000 --seed 7
    python benchmarks/robustness.py images --only 4711       one trial again
    python benchmarks/robustness.py --full --json figures.json --markdown

Each trial is drawn from (seed, part, number) alone. What broke is kept in `--out`: its input, and why. Kills and
outages also depend on when things happen. The exit code is 1 where something broke.

Needs nothing but prelabel: pictures are drawn, Label Studio is played by a web server of this machine, weights are the
starter's.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# As `prelabel` sets it; with ACTIVE in the environment PyTorch's waiting threads spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from measuring.faults.parts import PARTS, Part
from measuring.faults.tally import Tally
from measuring.sheets import Sheet, write

#: Between two words about a part that takes long.
TELL_SECONDS = 60.0


def main() -> None:
    """Command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # processes are stopped on the way out
    options = _options()
    print(f"seed {options.seed}; what breaks is kept in {options.out}")
    tallies = []
    for name in options.parts or PARTS:
        part = PARTS[name]
        tallies.append(_carry_out(name, part, _numbers(options, part), options.seed, options.out / name))
        print(tallies[-1].line(), flush=True)
    sheets = [_summary(tallies), _details(tallies)]
    for sheet in sheets:
        print(f"{sheet.title}\n\n{sheet.markdown()}\n") if options.markdown else sheet.show()
    if options.json:
        write(sheets, options.json)
    sys.exit(any(tally.faults for tally in tallies))


def _carry_out(name: str, part: Part, numbers: Sequence[int], seed: int, out: Path) -> Tally:
    tally = Tally(name, out)
    started = told = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for outcome in part.attempt(Path(folder), seed, numbers):
            tally.add(outcome)
            tally.seconds = time.monotonic() - started
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                print(f"  {tally.line()}", flush=True)
    return tally


def _numbers(options: argparse.Namespace, part: Part) -> Sequence[int]:
    if options.only is not None:
        return [options.only]
    return range(options.trials or (part.full if options.full else part.small))


def _summary(tallies: Sequence[Tally]) -> Sheet:
    sheet = Sheet("What was tried", ("part", "tried", "held", "broke", "what came of it", "seconds"))
    for tally in tallies:
        sheet.add(
            tally.name, tally.tried, tally.tried - tally.faults, tally.faults, tally.words(), tally.seconds
        )
    return sheet


def _details(tallies: Sequence[Tally]) -> Sheet:
    sheet = Sheet("By kind", ("part", "kind", "tried", "held", "broke"))
    for row in _rows(tallies):
        sheet.add(*row)
    return sheet


def _rows(tallies: Sequence[Tally]) -> Iterator[tuple[str, str, int, int, int]]:
    for tally in tallies:
        for group in sorted(tally.by_group):
            tried, broke = tally.by_group[group]
            yield tally.name, group, tried, tried - broke, broke


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--full", action="store_true", help="as many trials as docs/reliability.md tells of")
    parser.add_argument("--trials", type=int, help="so many of each part instead")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this trial alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "prelabel-robustness")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--markdown", action="store_true", help="tables for the docs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
