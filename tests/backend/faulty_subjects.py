"""Subjects of trials that do what prelabel must not: each number goes wrong in a way of its own."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import ClassVar

from measuring.faults.trials import Broke, Subject, Trial

HOLDS, BREAKS, RAISES, DIES, HANGS, SWELLS = range(6)
NUMBERS = (HOLDS, BREAKS, RAISES, DIES, HANGS, SWELLS, HOLDS)
SWOLLEN = 64 << 20


class Faulty(Subject):
    """See the top of this file."""

    limit: ClassVar[float] = 5.0

    def __init__(self, folder: Path) -> None:
        """Needs nothing."""

    def trial(self, number: int, dice: random.Random) -> Trial:
        """What a trial does is its number."""
        return Trial(f"kind {number}", {"input": str(dice.random()).encode()}, lambda: _attempt(number))


def _attempt(number: int) -> str:
    if number == BREAKS:
        raise Broke("said nothing")
    if number == RAISES:
        raise KeyError("label_config")
    if number == DIES:
        os.abort()
    if number == HANGS:
        time.sleep(60)
    return f"fine, {len(bytearray(os.urandom(SWOLLEN) if number == SWELLS else b''))} bytes"
