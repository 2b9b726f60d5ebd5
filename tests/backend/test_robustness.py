"""The campaign of faults: its trials tell what breaks, are the same again, and a few of each part hold."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from faulty_subjects import BREAKS, DIES, HANGS, NUMBERS, RAISES, SWELLS, Faulty
from measuring.faults import mutation, trials
from measuring.faults.annotations import Annotations
from measuring.faults.checkpoints import Checkpoints
from measuring.faults.coco_files import CocoFiles
from measuring.faults.configs import Configs
from measuring.faults.images import Images
from measuring.faults.studio import Outage
from measuring.faults.tally import Tally
from measuring.faults.trials import Outcome, Subject, dice_of

SEED = 2


def test_what_breaks_is_told_and_the_trials_after_it_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "MEMORY_LIMIT", 32 << 20)
    outcomes = list(trials.attempt(Faulty, tmp_path, SEED, NUMBERS))
    assert [outcome.number for outcome in outcomes] == list(NUMBERS)
    said = {outcome.number: outcome for outcome in outcomes if outcome.fault is not None}
    assert list(said) == [BREAKS, RAISES, DIES, HANGS, SWELLS]
    assert said[BREAKS].fault == "said nothing"
    assert str(said[RAISES].fault).endswith("KeyError: 'label_config'")
    assert str(said[DIES].fault).startswith("ended the process, exit code -6")
    assert said[HANGS].fault == "took more than 5 s"
    assert str(said[SWELLS].fault).startswith("took ")
    for number, outcome in said.items():
        expected = str(dice_of(SEED, "Faulty", number).random()).encode()
        assert (outcome.group, outcome.files) == (f"kind {number}", {"input": expected})


@pytest.mark.parametrize(
    ("subject", "count"),
    [(Images, 300), (CocoFiles, 40), (Annotations, 300), (Configs, 15), (Checkpoints, 5)],
)
def test_a_few_trials_hold(subject: type[Subject], count: int, tmp_path: Path) -> None:
    made = subject(tmp_path)
    words = {made.trial(n, dice_of(SEED, subject.__name__, n)).attempt() for n in range(count)}
    assert len(words) > 1, "all is refused, or nothing is"


def test_damage_is_drawn_from_the_dice_alone_and_changes_something() -> None:
    content, value = bytes(range(200)), {"images": [{"id": 1, "name": "a"}], "more": [1, 2, {"x": [0.5]}]}
    before = json.dumps(value)
    changed = 0
    for number in range(300):
        first, again = dice_of(SEED, "x", number), dice_of(SEED, "x", number)
        damaged, odd = mutation.damaged(first, content), mutation.odd(first, value)
        assert mutation.damaged(again, content) == damaged
        np.testing.assert_equal(mutation.odd(again, value), odd)  # NaN equals NaN
        changed += damaged != content and odd != value
    assert changed > 270
    assert json.dumps(value) == before


def test_odd_xml_changes_tags_and_attributes() -> None:
    xml = '<View><Image name="image" value="$image"/><Label value="apple"/></View>'
    seen = {mutation.odd_xml(random.Random(number), xml) for number in range(200)}
    assert len(seen) > 100
    assert any("apple" in one and "$image" not in one for one in seen)


def test_an_outage_lasts_as_long_as_it_is_told() -> None:
    class Handler:
        close_connection = False

    outage = Outage()
    outage.begin("closes", 2, 2)
    struck = [outage(Handler(), lambda: (b"", "")) for _ in range(5)]  # type: ignore[arg-type]
    assert struck == [False, True, True, False, False]
    outage.end()
    assert not outage(Handler(), lambda: (b"", ""))  # type: ignore[arg-type]


def test_a_tally_counts_and_keeps_the_first_inputs_of_each_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally("images", tmp_path / "images")
    tally.add(Outcome(0, "PNG", "read"))
    for number in range(1, 6):
        tally.add(Outcome(number, "GIF", fault="line\nTypeError: no", files={"image": b"GIF"}))
    assert (tally.tried, tally.faults) == (6, 5)
    assert tally.by_group == {"PNG": [1, 0], "GIF": [5, 5]}
    assert tally.words() == "read 1"
    assert "5 times: TypeError: no" in tally.line()
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["1", "2", "3"]
    assert (tmp_path / "images" / "1" / "image").read_bytes() == b"GIF"
    assert "images 1 (GIF) broke: TypeError: no" in capsys.readouterr().out
