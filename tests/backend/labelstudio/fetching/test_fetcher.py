"""Fetching images from servers on loopback: every kind of URL, who gets the token, limits, and the cache."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from default_limits import fetch_limits
from stand_in import Answer, Request, StandIn, stand_in

from prelabel.labelstudio.api.client import LabelStudioClient
from prelabel.labelstudio.errors import FetchError
from prelabel.labelstudio.fetching import fetcher
from prelabel.labelstudio.fetching.fetcher import FetchLimits, ImageFetcher
from prelabel.settings.images import ImageSettings

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PICTURE = b"\xff\xd8 not really a picture"
LIMITS = fetch_limits(max_bytes=1000, total_timeout=5, cache_bytes=10_000)


@pytest.fixture
def label_studio() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture
def stranger() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


class Fetch:
    """An ImageFetcher for a stand-in, with other limits where a test wants them."""

    def __init__(self, label_studio: StandIn, folder: Path) -> None:
        self.label_studio, self.folder = label_studio, folder

    def __call__(self, url: Any, task_id: int | None = 5, path_prefix: str = "", **limits: Any) -> bytes:
        client = LabelStudioClient(self.label_studio.url + path_prefix, TOKEN)
        return ImageFetcher(client, replace(LIMITS, **limits), self.folder).fetch(url, task_id)

    def error(self, url: Any, **options: Any) -> str:
        with pytest.raises(FetchError) as error:
            self(url, **options)
        text = str(error.value)
        assert TOKEN not in text
        assert "secret" not in text
        assert "\n" not in text
        return text


@pytest.fixture
def fetch(label_studio: StandIn, tmp_path: Path) -> Fetch:
    return Fetch(label_studio, tmp_path / "cache")


def allowed(server: StandIn) -> frozenset[str]:
    return frozenset([server.host])


def redirect(url: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": url})


def test_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = ImageSettings(
        prelabel_max_image_bytes=2_000_000,
        prelabel_fetch_timeout=7,
        prelabel_image_cache_bytes=3,
        prelabel_allowed_hosts="images.example",
        prelabel_allow_private_addresses=True,
        prelabel_local_files_root=tmp_path,
    )
    limits = FetchLimits(2_000_000, 7, 3, frozenset({"images.example"}), True, (tmp_path,))
    assert FetchLimits.of(settings) == limits
    assert fetch_limits().local_roots == ()


class TestWhereImagesAre:
    @pytest.mark.parametrize("path", ["/data/upload/1/19ff8e63-a.jpg", "/storage-data/uploaded/"])
    def test_paths_of_label_studio_are_fetched_with_the_token(
        self, fetch: Fetch, label_studio: StandIn, path: str
    ):
        label_studio.answers(path, Answer(PICTURE))

        assert fetch(f"{path}?filepath=a%20b") == PICTURE
        assert fetch(f"{label_studio.url}{path}?filepath=a%20b") == PICTURE
        assert [request.token for request in label_studio.requests] == [f"Token {TOKEN}"] * 2
        assert [request.query for request in label_studio.requests] == [{"filepath": "a b"}] * 2

    def test_paths_below_a_prefix(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/tool/data/upload/1/a.jpg", Answer(PICTURE))

        for url in ("/data/upload/1/a.jpg", "/tool/data/upload/1/a.jpg"):
            assert fetch(url, path_prefix="/tool") == PICTURE

    def test_other_paths_of_the_same_host_get_no_token(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/other/a.jpg", Answer(PICTURE))

        url = f"{label_studio.url}/other/a.jpg"
        assert fetch(url, path_prefix="/tool", allowed_hosts=allowed(label_studio)) == PICTURE
        assert label_studio.requests[0].token is None

    @pytest.mark.parametrize("uri", ["s3://bucket/a.jpg", "gs://bucket/a b.jpg", "azure-blob://box/ä.jpg"])
    def test_cloud_storage_is_fetched_from_the_presigned_url_without_the_token(
        self, fetch: Fetch, label_studio: StandIn, stranger: StandIn, uri: str
    ):
        label_studio.answers("/tasks/5/presign/", redirect(f"{stranger.url}/bucket/a?Signature=secret", 303))
        stranger.answers("/bucket/a", Answer(PICTURE))

        assert fetch(uri, allowed_hosts=allowed(stranger)) == PICTURE
        (asked,), (fetched,) = label_studio.requests, stranger.requests
        assert asked.token == f"Token {TOKEN}"
        assert base64.urlsafe_b64decode(asked.query["fileuri"]).decode() == uri
        assert fetched.token is None
        assert fetched.query == {"Signature": "secret"}

    def test_cloud_storage_without_a_task(self, fetch: Fetch):
        assert fetch.error("s3://bucket/a.jpg", task_id=None) == (
            "s3://bucket/a.jpg can only be fetched for a stored task."
        )

    def test_other_hosts_get_no_token(self, fetch: Fetch, stranger: StandIn):
        stranger.answers("/a.jpg", Answer(PICTURE))

        assert fetch(f"{stranger.url}/a.jpg", allowed_hosts=allowed(stranger)) == PICTURE
        assert stranger.requests[0].token is None

    def test_without_a_label_studio(self, stranger: StandIn, tmp_path: Path):
        stranger.answers("/a.jpg", Answer(PICTURE))
        fetcher = ImageFetcher(None, replace(LIMITS, allow_private=True), tmp_path)

        assert fetcher.fetch(f"{stranger.url}/a.jpg") == PICTURE
        with pytest.raises(FetchError, match="address and token are not configured"):
            fetcher.fetch("/data/upload/1/a.jpg")

    def test_data_uri(self, fetch: Fetch):
        encoded = base64.b64encode(PICTURE).decode()

        assert fetch(f"data:image/jpeg;base64,{encoded}") == PICTURE
        assert fetch.error(f"data:text/html;base64,{encoded}") == "The data: URI is not a base64 image."
        assert fetch.error("data:image/png;base64,%%%") == "The data: URI is damaged."
        big = base64.b64encode(bytes(1001)).decode()
        assert fetch.error(f"data:image/png;base64,{big}") == "The data: URI holds more than 1000 bytes."
        assert len(fetch(f"data:image/png;base64,{base64.b64encode(bytes(1000)).decode()}")) == 1000

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "The task has no image."),
            ("", "The task has no image."),
            (["a"], "The image of the task is a list, not a URL."),
            ("a.jpg", "a.jpg is not an http or https URL, and no other kind is fetched."),
            ("file:///etc/passwd", "/etc/passwd is not an http or https URL, and no other kind is fetched."),
            ("ftp://host/a?secret", "host/a is not an http or https URL, and no other kind is fetched."),
            ("http://[::1", "the URL of the image is not a valid URL."),
            ("http://host:99999/", "the URL of the image is not a valid URL."),
            ("http://ho\x00st/", None),
            ("http://" + "x" * 70 + "/", None),
            ("http:///a", "/a is not an http or https URL, and no other kind is fetched."),
        ],
    )
    def test_what_cannot_be_fetched_is_one_sentence(self, fetch: Fetch, value: Any, message: str | None):
        error = fetch.error(value)
        assert message is None or error == message


class TestLocalFiles:
    URL = "/data/local-files/?d=album/a.jpg"

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "root" / "album").mkdir(parents=True)
        (tmp_path / "root" / "album" / "a.jpg").write_bytes(b"from the disk")
        (tmp_path / "outside.jpg").write_bytes(b"outside")
        return tmp_path / "root"

    @pytest.fixture(autouse=True)
    def served(self, label_studio: StandIn) -> None:
        label_studio.answers("/data/local-files/", Answer(b"from Label Studio"))

    def test_through_label_studio_by_default(self, fetch: Fetch, root: Path):
        assert fetch(self.URL) == b"from Label Studio"

    def test_directly_from_an_allowed_folder(self, fetch: Fetch, root: Path, label_studio: StandIn):
        assert fetch(self.URL, local_roots=(root,)) == b"from the disk"
        assert not label_studio.requests

    @pytest.mark.parametrize(
        "name", ["../outside.jpg", "album/../../outside.jpg", "/etc/hostname", "album", "no", "%00"]
    )
    def test_nothing_outside_the_folder(self, fetch: Fetch, root: Path, name: str):
        assert fetch(f"/data/local-files/?d={name}", local_roots=(root,)) == b"from Label Studio"

    def test_no_link_out_of_the_folder(self, fetch: Fetch, root: Path):
        (root / "link.jpg").symlink_to(root.parent / "outside.jpg")
        (root / "loop.jpg").symlink_to(root / "loop.jpg")

        for name in ("link.jpg", "loop.jpg"):
            assert fetch(f"/data/local-files/?d={name}", local_roots=(root,)) == b"from Label Studio"

    def test_large_files_are_refused(self, fetch: Fetch, root: Path):
        message = fetch.error(self.URL, local_roots=(root,), max_bytes=5)
        assert message == "/data/local-files/?d=album/a.jpg is larger than 5 bytes."

    def test_a_missing_file_is_named_with_its_remedy(self, fetch: Fetch, root: Path, label_studio: StandIn):
        label_studio.answers("/data/local-files/", Answer({"detail": "Not found"}, 404))
        url = "/data/local-files/?d=album/b%20c.jpg&token=secret"
        sentence = (
            "Label Studio has no file /data/local-files/?d=album/b c.jpg (404): put it there below "
            "LOCAL_FILES_DOCUMENT_ROOT, in a folder that is connected to the project as local storage, or correct the "
            "task."
        )
        assert fetch.error(url) == fetch.error(label_studio.url + url) == sentence
        assert fetch.error(url, local_roots=(root,)) == (
            f"{sentence} It is not in {root} (PRELABEL_LOCAL_FILES_ROOT) either."
        )

    def test_other_refusals_name_the_file_too(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/data/local-files/", Answer({"detail": "Serving is off"}, 403))
        assert "GET /data/local-files/?d=album/a.jpg with 403: Serving is off." in fetch.error(self.URL)

    def test_a_refused_storage_uri_is_named(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/tasks/5/presign/", Answer({"detail": "gone"}, 404))
        assert "GET /tasks/5/presign/ of s3://bucket/dir/a.jpg with 404" in fetch.error(
            "s3://bucket/dir/a.jpg"
        )


class TestGuard:
    def test_private_addresses_are_refused_unless_listed_or_allowed(self, fetch: Fetch, stranger: StandIn):
        stranger.answers("/a.jpg", Answer(PICTURE))
        url = f"{stranger.url}/a.jpg?secret=1"

        assert (
            fetch.error(url) == "The host 127.0.0.1 is in a private network and not among the allowed hosts."
        )
        assert not stranger.requests
        assert fetch(url, allowed_hosts=frozenset(["127.0.0.1"])) == PICTURE
        assert fetch(url, allow_private=True) == PICTURE

    def test_a_list_excludes_every_other_host(self, fetch: Fetch, stranger: StandIn):
        hosts = frozenset(["Images.example", "127.0.0.1:1"])
        assert fetch.error("http://8.8.8.8/a.jpg", allowed_hosts=hosts) == (
            "The host 8.8.8.8 is not among the allowed hosts."
        )
        assert "not among the allowed hosts" in fetch.error(f"{stranger.url}/a.jpg", allowed_hosts=hosts)
        assert replace(LIMITS, allowed_hosts=hosts).lists("images.EXAMPLE", 443)

    def test_redirects_are_checked_like_any_url(self, fetch: Fetch, stranger: StandIn):
        with stand_in() as hidden:
            stranger.answers("/a.jpg", redirect(f"{hidden.url}/admin"))
            fetch.error(f"{stranger.url}/a.jpg", allowed_hosts=allowed(stranger))
            assert not hidden.requests

    def test_redirects_of_label_studio_may_leave_the_list_but_not_enter_private_networks(
        self, fetch: Fetch, label_studio: StandIn, stranger: StandIn
    ):
        label_studio.answers("/data/upload/1/a.jpg", redirect(f"{stranger.url}/a.jpg"))
        label_studio.answers("/data/upload/1/b.jpg", redirect("http://nowhere.invalid/b.jpg?secret"))

        assert "private network" in fetch.error("/data/upload/1/a.jpg")
        assert not stranger.requests
        hosts = frozenset(["images.example"])
        assert (
            fetch.error("/data/upload/1/b.jpg", allowed_hosts=hosts)
            == "The host nowhere.invalid is not known."
        )

    def test_the_token_is_not_sent_again_once_a_chain_has_left_label_studio(
        self, fetch: Fetch, label_studio: StandIn, stranger: StandIn
    ):
        label_studio.answers("/data/upload/1/a.jpg", redirect(f"{stranger.url}/there"))
        stranger.answers("/there", redirect(f"{label_studio.url}/api/dm/actions"))
        label_studio.answers("/api/dm/actions", Answer(PICTURE))

        assert fetch("/data/upload/1/a.jpg", allow_private=True) == PICTURE
        assert [request.token for request in label_studio.requests] == [f"Token {TOKEN}", None]
        assert stranger.requests[0].token is None

    def test_a_redirect_within_label_studio_keeps_the_token(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/tasks/5/resolve/", redirect("/data/upload/1/a.jpg"))
        label_studio.answers("/data/upload/1/a.jpg", Answer(PICTURE))

        assert fetch("/tasks/5/resolve/?fileuri=x") == PICTURE
        assert {request.token for request in label_studio.requests} == {f"Token {TOKEN}"}

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "http://[bad", "gopher://host/"])
    def test_redirects_to_other_schemes_are_refused(self, fetch: Fetch, label_studio: StandIn, target: str):
        label_studio.answers("/data/upload/1/a.jpg", redirect(target))
        fetch.error("/data/upload/1/a.jpg")

    def test_circles_end(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/data/upload/1/a.jpg", redirect("/data/upload/1/a.jpg"))

        assert "more than 5 redirects" in fetch.error("/data/upload/1/a.jpg")
        assert len(label_studio.requests) == 6


class TestLimits:
    URL = "/data/upload/1/a.jpg"

    @pytest.mark.parametrize("with_length", [True, False])
    def test_too_large(self, fetch: Fetch, label_studio: StandIn, with_length: bool):
        label_studio.answers(self.URL, Answer(bytes(1001), with_length=with_length))
        assert fetch.error(self.URL).endswith("/data/upload/1/a.jpg is larger than 1000 bytes.")

        label_studio.answers(self.URL, Answer(bytes(1000), with_length=with_length))
        assert len(fetch(self.URL)) == 1000

    def test_a_trickle_ends_at_the_deadline(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers(self.URL, Answer(bytes(500), chunk_pause=0.02))

        start = time.monotonic()
        assert fetch.error(self.URL, total_timeout=0.3).endswith("a.jpg took longer than 0.3 seconds.")
        assert time.monotonic() - start < 1

    def test_the_body_of_a_redirect_is_not_waited_for(self, fetch: Fetch, label_studio: StandIn):
        onwards = Answer(bytes(500), 302, {"Location": "/data/upload/1/b.jpg"}, chunk_pause=0.02)
        label_studio.answers(self.URL, onwards)
        label_studio.answers("/data/upload/1/b.jpg", Answer(PICTURE))

        start = time.monotonic()
        assert fetch(self.URL) == PICTURE
        assert time.monotonic() - start < 1

    def test_silence_ends_at_the_read_timeout(
        self, fetch: Fetch, label_studio: StandIn, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(fetcher, "READ_SECONDS", 0.1)
        label_studio.answers(self.URL, Answer(bytes(5), chunk_pause=1.5))
        assert "did not answer in time" in fetch.error(self.URL)

    def test_a_body_that_breaks_off(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers(self.URL, Answer(PICTURE, headers={"Content-Length": "500"}))
        assert fetch.error(self.URL).endswith("a.jpg broke off in the middle.")

    def test_nobody_there(self, fetch: Fetch):
        message = fetch.error("http://127.0.0.1:9/a.jpg?secret", allow_private=True)
        assert message == "127.0.0.1:9/a.jpg cannot be reached."

    def test_refusals_of_label_studio_keep_its_advice(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers(self.URL, Answer({"detail": "no"}, 401))
        assert "legacy tokens are off" in fetch.error(self.URL + "?secret=1")
        label_studio.answers(self.URL, Answer({"detail": "gone"}, 404))
        assert fetch.error(self.URL + "?secret=1").endswith("GET /data/upload/1/a.jpg with 404: gone.")

    def test_refusals_of_others_name_host_and_path(self, fetch: Fetch, stranger: StandIn):
        url = f"http://user:secret@{stranger.host}/a.jpg?sig=secret"
        assert fetch.error(url, allow_private=True) == f"{stranger.host}/a.jpg answered 404."


class TestCache:
    URL = "/data/local-files/?d=a.jpg"

    def versioned(self, server: StandIn, etag: str, body: bytes) -> None:
        """An image that is sent only to those who do not have this version."""

        def answer(request: Request) -> Answer:
            known = request.headers["If-None-Match"] == etag
            return Answer(b"" if known else body, 304 if known else 200, {"ETag": etag})

        server.answers("/data/local-files/", answer)

    def test_an_unchanged_image_is_not_sent_again(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")

        assert [fetch(self.URL) for _ in range(3)] == [b"first"] * 3
        assert [request.headers["If-None-Match"] for request in label_studio.requests] == [None, '"1"', '"1"']

    def test_a_changed_image_is_seen(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")
        fetch(self.URL)
        self.versioned(label_studio, '"2"', b"second")

        assert [fetch(self.URL) for _ in range(2)] == [b"second"] * 2

    def test_dates_serve_where_there_are_no_tags(self, fetch: Fetch, label_studio: StandIn):
        date = "Sat, 21 Nov 2026 02:00:00 GMT"

        def answer(request: Request) -> Answer:
            known = request.headers["If-Modified-Since"] == date
            return Answer(b"" if known else b"old", 304 if known else 200, {"Last-Modified": date})

        label_studio.answers("/data/local-files/", answer)
        assert [fetch(self.URL) for _ in range(2)] == [b"old"] * 2
        assert label_studio.requests[1].headers["If-Modified-Since"] == date

    def test_without_a_tag_or_date_nothing_is_reused(self, fetch: Fetch, label_studio: StandIn):
        label_studio.answers("/data/upload/1/a.jpg", Answer(b"first"))
        fetch("/data/upload/1/a.jpg")
        label_studio.answers("/data/upload/1/a.jpg", Answer(b"second"))

        assert fetch("/data/upload/1/a.jpg") == b"second"

    def test_a_storage_uri_is_known_again_although_its_signature_changes(
        self, fetch: Fetch, label_studio: StandIn, stranger: StandIn
    ):
        signatures = iter("abc")
        label_studio.answers(
            "/tasks/5/presign/", lambda _: redirect(f"{stranger.url}/k?sig={next(signatures)}")
        )
        known = {"ETag": '"x"'}
        stranger.answers(
            "/k",
            lambda request: (
                Answer(b"", 304) if request.headers["If-None-Match"] else Answer(b"new", headers=known)
            ),
        )
        assert [fetch("s3://b/k", allow_private=True) for _ in range(2)] == [b"new"] * 2

    @pytest.mark.parametrize("damage", [b"", b"garbage", b'{"etag": "x"}\nfirst'])
    def test_damaged_files_are_dropped(self, fetch: Fetch, label_studio: StandIn, damage: bytes):
        self.versioned(label_studio, '"1"', b"first")
        fetch(self.URL)
        (file,) = fetch.folder.iterdir()
        file.write_bytes(damage)

        assert fetch(self.URL) == b"first"
        assert label_studio.requests[1].headers["If-None-Match"] is None
        assert file.read_bytes().endswith(b"first")

    def test_bit_rot_is_noticed(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")
        fetch(self.URL)
        (file,) = fetch.folder.iterdir()
        file.write_bytes(file.read_bytes().replace(b"first", b"fIrst"))

        assert fetch(self.URL) == b"first"

    def test_the_least_recently_used_go_when_the_limit_is_reached(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', bytes(900))
        urls = [f"{self.URL}&n={number}" for number in range(12)]
        for age, url in enumerate(urls[:9]):
            fetch(url)
            newest = max(fetch.folder.iterdir(), key=lambda file: file.stat().st_mtime)
            os.utime(newest, (1000 + age, 1000 + age))
        fetch(urls[0])
        for url in urls[9:]:
            fetch(url)

        files = list(fetch.folder.iterdir())
        assert sum(file.stat().st_size for file in files) <= LIMITS.cache_bytes
        label_studio.requests.clear()
        fetch(urls[0])
        fetch(urls[1])
        assert [request.headers["If-None-Match"] for request in label_studio.requests] == ['"1"', None]

    def test_names_of_files_are_hashes(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")
        fetch("/data/local-files/?d=../../../escape")

        assert [len(file.name) for file in fetch.folder.iterdir()] == [64]

    def test_a_folder_that_cannot_be_written_costs_no_image(
        self, fetch: Fetch, label_studio: StandIn, caplog: pytest.LogCaptureFixture
    ):
        self.versioned(label_studio, '"1"', b"first")
        fetch.folder.write_text("a file where the folder should be")

        assert fetch(self.URL) == b"first"
        assert "The image cache cannot be written" in caplog.text

    def test_nothing_is_kept_with_a_limit_of_zero(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")

        assert fetch(self.URL, cache_bytes=0) == b"first"
        assert not fetch.folder.exists()

    def test_many_threads_share_it(self, fetch: Fetch, label_studio: StandIn):
        self.versioned(label_studio, '"1"', b"first")
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: fetch(self.URL), range(40))) == {b"first"}

        (file,) = fetch.folder.iterdir()
        assert file.read_bytes().endswith(b"first")
