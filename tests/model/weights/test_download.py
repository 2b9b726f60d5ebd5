"""Downloading from a real server: whole, cut off and resumed, changed, refused, forged."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import ServedFile, serving

from fbnetv3.weights import WeightsError
from fbnetv3.weights import download as download_module
from fbnetv3.weights.download import download

CONTENT = random.Random(0).randbytes(1_000_000)
# A multiple of the pieces that are written to the disk.
CUT = 4 << 16
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedFile]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download_module, "_FIRST_PAUSE", 0.001)
    with serving(CONTENT) as served:
        yield served


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "coco.download"


def _is_alone(target: Path) -> bool:
    return list(target.parent.iterdir()) == [target]


def test_whole_file_arrives_verified_with_progress(served: ServedFile, target: Path):
    steps: list[tuple[int, int | None]] = []
    digest = download(
        served.url, target, size=len(CONTENT), sha256=SHA256, progress=lambda *step: steps.append(step)
    )
    assert digest == SHA256
    assert target.read_bytes() == CONTENT
    assert _is_alone(target)
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_interrupted_transfer_goes_on_where_it_ended(served: ServedFile, target: Path):
    served.cuts = [CUT, CUT // 2]
    download(served.url, target, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert served.requests == [None, f"bytes={CUT}-", f"bytes={CUT * 3 // 2}-"]


def test_later_call_goes_on_where_an_earlier_one_gave_up(served: ServedFile, target: Path):
    served.cuts = [CUT]
    with pytest.raises(WeightsError, match="cannot be fetched"):
        download(served.url, target, attempts=1)
    assert not target.exists()

    first: list[int] = []
    download(served.url, target, progress=lambda done, total: first.append(done))
    assert first[0] == CUT
    assert target.read_bytes() == CONTENT
    assert _is_alone(target)


def test_server_without_ranges_sends_all_again(served: ServedFile, target: Path):
    served.ranges, served.cuts = False, [CUT]
    download(served.url, target, sha256=SHA256)
    assert served.requests == [None, f"bytes={CUT}-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_nothing_is_resumed_without_a_version_to_compare(served: ServedFile, target: Path, etag: str | None):
    served.etag, served.cuts = etag, [CUT]
    download(served.url, target, sha256=SHA256)
    assert served.requests == [None, None]
    assert target.read_bytes() == CONTENT


def test_changed_file_is_fetched_from_its_start(served: ServedFile, target: Path):
    served.cuts = [CUT]
    with pytest.raises(WeightsError):
        download(served.url, target, attempts=1)
    served.content, served.etag = CONTENT[::-1], '"v2"'
    download(served.url, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_part_that_was_whole_already_is_taken(served: ServedFile, target: Path):
    target.parent.mkdir()
    target.with_name("coco.download.part").write_bytes(CONTENT)
    target.with_name("coco.download.part.version").write_text('"v1"')
    assert download(served.url, target) == SHA256
    assert served.requests == ["bytes=1000000-"]
    assert _is_alone(target)


def test_part_longer_than_the_file_is_dropped(served: ServedFile, target: Path):
    target.parent.mkdir()
    target.with_name("coco.download.part").write_bytes(CONTENT + b"more")
    target.with_name("coco.download.part.version").write_text('"v1"')
    assert download(served.url, target) == SHA256
    assert served.requests == ["bytes=1000004-", None]


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [({"sha256": "0" * 64}, f"its SHA-256 is {SHA256}, not 0000"), ({"size": 5}, "1000000 bytes, not 5")],
)
def test_forged_file_is_deleted(served: ServedFile, target: Path, expected: dict, complaint: str):
    with pytest.raises(WeightsError, match=complaint):
        download(served.url, target, **expected)
    assert not list(target.parent.iterdir())


def test_passing_failures_are_tried_again(served: ServedFile, target: Path):
    served.failures = [503, 429]
    assert download(served.url, target) == SHA256
    assert len(served.requests) == 3


def test_lasting_failures_end_after_the_attempts(served: ServedFile, target: Path):
    served.failures = [500] * 9
    with pytest.raises(WeightsError, match="the server answered 500"):
        download(served.url, target, attempts=3)
    assert len(served.requests) == 3


def test_refusal_is_final(served: ServedFile, target: Path):
    served.failures = [404] * 9
    with pytest.raises(WeightsError, match="the server answered 404"):
        download(served.url, target)
    assert len(served.requests) == 1


@pytest.mark.parametrize("url", ["http://192.0.2.1/d2go.pt", "ftp://127.0.0.1/d2go.pt", "d2go.pt"])
def test_only_https_leaves_this_machine(target: Path, url: str):
    with pytest.raises(WeightsError, match="cannot be fetched"):
        download(url, target, attempts=1)


def test_redirection_to_plain_http_elsewhere_is_refused(served: ServedFile, target: Path):
    served.location = "http://192.0.2.1/d2go.pt"
    with pytest.raises(WeightsError, match=r"http://192\.0\.2\.1/d2go\.pt is not https"):
        download(served.url, target)


def test_unreachable_server_is_one_sentence(target: Path):
    with serving(CONTENT) as gone:
        pass
    with pytest.raises(WeightsError, match=r"^\S+ cannot be fetched: the server cannot be reached[^\n.]*$"):
        download(gone.url, target, attempts=1)


def test_folder_that_cannot_be_made_is_one_sentence(served: ServedFile, tmp_path: Path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"coco\.download cannot be written: File exists"):
        download(served.url, tmp_path / "store" / "coco.download")
