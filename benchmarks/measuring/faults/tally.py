"""What came of a part: counted by kind and by word; of what broke the first inputs are kept, to be tried again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from measuring.faults.trials import Outcome

#: Faults of one cause whose input is kept, and characters of a cause.
KEPT = 3
CAUSE = 200


class Tally:
    """`faults`: how many trials broke; `by_group`: kind -> [tried, broke]; `seconds`: of the whole part."""

    def __init__(self, name: str, out: Path) -> None:
        self.name = name
        self.tried = self.faults = 0
        self.seconds = 0.0
        self.by_group: dict[str, list[int]] = {}
        self._out = out
        self._words: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """One more trial."""
        broke = outcome.fault is not None
        self.tried += 1
        self.faults += broke
        counts = self.by_group.setdefault(outcome.group, [0, 0])
        counts[0] += 1
        counts[1] += broke
        if outcome.fault is None:
            self._words[outcome.word] += 1
        else:
            self._keep(outcome, outcome.fault)

    def _keep(self, outcome: Outcome, fault: str) -> None:
        cause = fault.splitlines()[-1][:CAUSE]
        self._causes[cause] += 1
        if self._causes[cause] > KEPT:
            return
        folder = self._out / str(outcome.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "why.txt").write_text(f"{fault}\n", errors="replace")
        for name, content in outcome.files.items():
            (folder / name).write_bytes(content)
        print(f"  {self.name} {outcome.number} ({outcome.group}) broke: {cause}", flush=True)

    def words(self) -> str:
        """What came of those that held."""
        return ", ".join(f"{word} {count}" for word, count in self._words.most_common())

    def line(self) -> str:
        """For the terminal, as soon as the part is done."""
        causes = "".join(f"\n    {count} times: {cause}" for cause, count in self._causes.most_common())
        return f"{self.name}: {self.tried} tried, {self.faults} broke, {self.seconds:.0f} s{causes}"
