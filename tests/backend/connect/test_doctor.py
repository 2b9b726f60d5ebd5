"""The doctor: a sound chain is sound, every fault is named at its link with its remedy, and stops only its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from label_studio_stand_in import PROJECT, LabelStudioStandIn, label_studio_stand_in
from provisional_samples import store_head
from stand_in import Answer, StandIn, stand_in
from typer.testing import CliRunner
from version_samples import store_version
from weights_samples import small_checkpoint

from fbnetv3.weights import Checkpoint, write_checkpoint
from prelabel.cli import app
from prelabel.connect.connect import connect_project
from prelabel.connect.doctor import CHAIN, CheckedLink, Examination, Status, examine
from prelabel.settings import load_settings
from prelabel.store.database import Database
from prelabel.store.promotions import add_promotion

CHECKPOINT = small_checkpoint(("Disc", "Box", "Wedge"), masks=True)
VERSION = f"tiny-{CHECKPOINT.digest}"
STALE = f"starter-{'b' * 12}"
BRUSH = '<BrushLabels name="brush" toName="image"><Label value="Disc"/></BrushLabels>'


@dataclass
class Chain:
    """Everything that the doctor looks at, sound; a test breaks one thing."""

    studio: LabelStudioStandIn
    server: StandIn
    images: str
    home: Path
    environment: pytest.MonkeyPatch

    def set(self, **variables: str) -> None:
        """Settings of the command."""
        for name, value in variables.items():
            self.environment.setenv(name, value)

    def write_weights(self, checkpoint: Checkpoint) -> None:
        """The weights that the settings name."""
        write_checkpoint(checkpoint, self.home / "tiny.safetensors")

    def examine(self, url: str | None = None, project: int = PROJECT) -> dict[str, CheckedLink]:
        """Link -> what the doctor says of it."""
        return {finding.link: finding for finding in examine(Examination(load_settings(), project, url))}

    def webhook(self) -> dict:
        (webhook,) = self.studio.webhooks.values()
        return webhook


@pytest.fixture
def chain(
    host: str, tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Chain]:
    with label_studio_stand_in() as studio, stand_in() as server:
        chain = Chain(studio, server, f"http://{host}", tmp_path, monkeypatch)
        chain.write_weights(CHECKPOINT)
        chain.set(
            LABEL_STUDIO_URL=studio.url,
            LABEL_STUDIO_API_KEY="legacy-token",
            PRELABEL_HOME=str(tmp_path),
            PRELABEL_WEIGHTS=str(tmp_path / "tiny.safetensors"),
            PRELABEL_ALLOW_PRIVATE_ADDRESSES="true",
            PORT=server.url.rpartition(":")[2],
        )
        server.answers(
            "/health", Answer({"status": "UP", "model_class": "prelabel", "model_version": VERSION})
        )
        server.answers("/versions", Answer({"versions": [VERSION]}))
        studio.answering = VERSION
        for task in studio.add_tasks(f"{chain.images}/img1.png", f"{chain.images}/img2.png"):
            studio.add_prediction(task, VERSION)
        connect_project(studio.client(), PROJECT, f"http://localhost:{load_settings().port}", VERSION)
        studio.writes.clear()
        yield chain


def test_a_sound_chain_is_sound_from_end_to_end(chain):
    findings = chain.examine()
    assert list(findings) == [link.name for link in CHAIN]
    assert {finding.status for finding in findings.values()} == {Status.OK}, findings
    assert not any(finding.remedy for finding in findings.values())
    assert "2 of 2 tasks" in findings["predictions"].detail
    assert "300 x 200" in findings["image"].detail


def test_looking_changes_nothing(chain):
    before = (dict(chain.studio.project), dict(chain.studio.backends), dict(chain.studio.webhooks))
    chain.examine()
    assert (chain.studio.project, chain.studio.backends, chain.studio.webhooks) == before
    assert len(chain.studio.predictions) == 2


Break = Callable[[Chain], object]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be, and what the doctor has to say of it."""

    what: str
    make: Break
    link: str
    status: Status
    detail: str
    remedy: str
    unchecked: tuple[str, ...] = ()


AFTER_PROJECT = (
    "labelling config",
    "labels",
    "masks",
    "request guard",
    "ML backend",
    "webhook",
    "shown version",
    "image",
    "predictions",
)

FAULTS = [
    Fault(
        "no token",
        lambda chain: chain.environment.delenv("LABEL_STUDIO_API_KEY"),
        "settings",
        Status.BROKEN,
        "LABEL_STUDIO_API_KEY is not set",
        "personal access token",
        ("token", "project", *AFTER_PROJECT),
    ),
    Fault(
        "a misspelt variable",
        lambda chain: chain.set(PRELABEL_WEIGHT="coco"),
        "settings",
        Status.WARNING,
        "PRELABEL_WEIGHTS",
        "correct the names",
    ),
    Fault(
        "no Label Studio",
        lambda chain: chain.set(LABEL_STUDIO_URL="http://127.0.0.1:9"),
        "Label Studio",
        Status.BROKEN,
        "nothing answers at http://127.0.0.1:9",
        "LABEL_STUDIO_URL",
        ("token", "project", *AFTER_PROJECT),
    ),
    Fault(
        "something else than Label Studio",
        lambda chain: chain.set(LABEL_STUDIO_URL=chain.server.url),
        "Label Studio",
        Status.BROKEN,
        "is not Label Studio",
        "LABEL_STUDIO_URL",
        ("token", "project", *AFTER_PROJECT),
    ),
    Fault(
        "legacy tokens switched off",
        lambda chain: chain.studio.refuse("GET /api/current-user/whoami", 401),
        "token",
        Status.BROKEN,
        "legacy tokens are off",
        "personal access token",
        ("project", *AFTER_PROJECT),
    ),
    Fault(
        "no tasks",
        lambda chain: chain.studio.tasks.clear(),
        "project",
        Status.WARNING,
        "has no tasks",
        "import images",
    ),
    Fault(
        "weights that are not there",
        lambda chain: chain.set(PRELABEL_WEIGHTS="coco"),
        "weights",
        Status.BROKEN,
        "'coco' are not on this machine",
        "PRELABEL_WEIGHTS",
        ("labels", "masks", "same weights"),
    ),
    Fault(
        "a config without anything to pre-label",
        lambda chain: chain.studio.project.update(
            label_config='<View><Image name="i" value="$image"/></View>'
        ),
        "labelling config",
        Status.BROKEN,
        "no RectangleLabels",
        "Labeling Interface",
        ("labels", "masks", "image"),
    ),
    Fault(
        "a config that cannot be read",
        lambda chain: chain.studio.project.update(label_config="<View>"),
        "labelling config",
        Status.BROKEN,
        "cannot be read",
        "Labeling Interface",
        ("labels", "masks", "image"),
    ),
    Fault(
        "no label in common",
        lambda chain: chain.write_weights(small_checkpoint(("a", "b", "c"), masks=True)),
        "labels",
        Status.BROKEN,
        "no label of the project",
        "predicted_values",
        ("masks",),
    ),
    Fault(
        "a label without a match",
        lambda chain: chain.write_weights(small_checkpoint(("Disc", "b", "c"), masks=True)),
        "labels",
        Status.WARNING,
        "no model label for Box",
        "predicted_values",
    ),
    Fault(
        "boxes and masks from weights without masks",
        lambda chain: (
            chain.write_weights(small_checkpoint(("Disc", "Box", "c"))),
            chain.studio.project.update(
                label_config=chain.studio.project["label_config"].replace("</View>", f"{BRUSH}</View>")
            ),
        ),
        "masks",
        Status.WARNING,
        "brush will stay empty",
        "weights with masks",
    ),
    Fault(
        "only masks from weights without masks",
        lambda chain: (
            chain.write_weights(small_checkpoint(("Disc", "Box", "c"))),
            chain.studio.project.update(
                label_config=f'<View><Image name="image" value="$image"/>{BRUSH}</View>'
            ),
        ),
        "masks",
        Status.BROKEN,
        "brush will stay empty",
        "weights with masks",
    ),
    Fault(
        "no server",
        lambda chain: chain.server.answers("/health", Answer(b"no", 502)),
        "server",
        Status.BROKEN,
        "is not prelabel",
        "prelabel serve",
        ("served model", "same weights", "shown version"),
    ),
    Fault(
        "a loading model",
        lambda chain: chain.server.answers("/versions", Answer({"error": "The model is still loading"}, 503)),
        "served model",
        Status.BROKEN,
        "still loading",
        "wait",
        ("same weights", "shown version"),
    ),
    Fault(
        "a password that is not ours",
        lambda chain: chain.server.answers("/versions", Answer(b"", 401)),
        "served model",
        Status.BROKEN,
        "refuses the password",
        "BASIC_AUTH_USER",
        ("same weights", "shown version"),
    ),
    Fault(
        "other weights here than the server has",
        lambda chain: chain.write_weights(CHECKPOINT.with_labels(("Box", "Disc", "Wedge"))),
        "same weights",
        Status.WARNING,
        f"serves {VERSION}",
        "same PRELABEL_WEIGHTS",
    ),
    Fault(
        "a guard that refuses",
        lambda chain: setattr(chain.studio, "guard", "closed"),
        "request guard",
        Status.BROKEN,
        "127.0.0.0/8",
        "USE_DEFAULT_BANNED_SUBNETS=false",
    ),
    Fault(
        "a guard that refuses webhooks only",
        lambda chain: setattr(chain.studio, "guard", "half"),
        "request guard",
        Status.BROKEN,
        "send events to",
        "USE_DEFAULT_BANNED_SUBNETS=false",
    ),
    Fault(
        "no backend",
        lambda chain: chain.studio.backends.clear(),
        "ML backend",
        Status.BROKEN,
        "has no ML backend at http://localhost",
        f"prelabel connect --project {PROJECT}`",
        ("shown version",),
    ),
    Fault(
        "a server that Label Studio does not reach",
        lambda chain: setattr(chain.studio, "answering", ""),
        "ML backend",
        Status.BROKEN,
        "does not reach",
        "--url http://<name>",
        ("shown version",),
    ),
    Fault(
        "another backend before this one",
        lambda chain: chain.studio.backends.update(
            {0: {**_only(chain.studio.backends), "id": 0, "url": "http://sam"}}
        ),
        "ML backend",
        Status.BROKEN,
        "only the first ML backend of a project: http://sam",
        "remove that one",
        ("shown version",),
    ),
    Fault(
        "no webhook",
        lambda chain: chain.studio.webhooks.clear(),
        "webhook",
        Status.BROKEN,
        "does not hear of new labels",
        "prelabel connect",
    ),
    Fault(
        "a webhook switched off",
        lambda chain: chain.webhook().update(is_active=False),
        "webhook",
        Status.BROKEN,
        "switched off",
        "prelabel connect",
    ),
    Fault(
        "a webhook without the password",
        lambda chain: chain.set(BASIC_AUTH_USER="ann", BASIC_AUTH_PASS="secret"),
        "webhook",
        Status.BROKEN,
        "lacks the server's password",
        "prelabel connect",
    ),
    Fault(
        "a webhook for some events",
        lambda chain: chain.webhook().update(send_for_all_actions=False),
        "webhook",
        Status.WARNING,
        "does not send every event",
        "prelabel connect",
    ),
    Fault(
        "two webhooks",
        lambda chain: chain.studio.add_webhook(chain.webhook()["url"]),
        "webhook",
        Status.WARNING,
        "there are 2 webhooks",
        "prelabel connect",
    ),
    Fault(
        "the webhook of a backend that is gone",
        lambda chain: chain.studio.add_webhook("http://gone:9090/webhook"),
        "webhook",
        Status.WARNING,
        "http://gone:9090/webhook",
        "Settings > Webhooks",
    ),
    Fault(
        "a project that shows another version",
        lambda chain: chain.studio.project.update(model_version="My model"),
        "shown version",
        Status.BROKEN,
        "'My model'",
        "prelabel connect",
    ),
    Fault(
        "a title that is not the version",
        lambda chain: _only(chain.studio.backends).update(title="My model"),
        "shown version",
        Status.BROKEN,
        "called 'My model'",
        "prelabel connect",
    ),
    Fault(
        "predictions hidden from annotators",
        lambda chain: chain.studio.project.update(show_collab_predictions=False),
        "shown version",
        Status.WARNING,
        "do not see",
        "prelabel connect",
    ),
    Fault(
        "predictions fetched page by page",
        lambda chain: chain.studio.project.update(evaluate_predictions_automatically=True),
        "shown version",
        Status.WARNING,
        "waits for predictions",
        "prelabel annotate",
    ),
    Fault(
        "an image that is gone",
        lambda chain: _first_image(chain, "gone.png"),
        "image",
        Status.BROKEN,
        "fetching image failed",
        "docs/projects.md",
    ),
    Fault(
        "an image that is damaged",
        lambda chain: _first_image(chain, "broken.png"),
        "image",
        Status.BROKEN,
        "decoding image failed",
        "browser",
    ),
    Fault(
        "no predictions",
        lambda chain: chain.studio.predictions.clear(),
        "predictions",
        Status.WARNING,
        "no task has a prediction",
        f"prelabel annotate --project {PROJECT}`",
    ),
    Fault(
        "predictions of another version only",
        lambda chain: [row.update(model_version=STALE) for row in chain.studio.predictions.values()],
        "predictions",
        Status.WARNING,
        f"none is of {VERSION}",
        f"prelabel annotate --project {PROJECT}`",
    ),
    Fault(
        "a stale prediction",
        lambda chain: chain.studio.add_prediction(1, STALE),
        "predictions",
        Status.WARNING,
        f"{STALE} is not served any more",
        "--stale-only",
    ),
]


def _only(rows: dict) -> dict:
    (row,) = rows.values()
    return row


def _first_image(chain: Chain, name: str) -> None:
    next(iter(chain.studio.tasks.values()))["data"] = {"image": f"{chain.images}/{name}"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_named_at_its_link_and_stops_only_what_hangs_on_it(chain, fault):
    fault.make(chain)
    findings = chain.examine()
    finding = findings[fault.link]
    assert finding.status is fault.status, findings
    assert fault.detail in finding.detail
    assert fault.remedy in finding.remedy
    unchecked = [link for link, found in findings.items() if found.status is Status.NOT_CHECKED]
    assert unchecked == [link.name for link in CHAIN if link.name in fault.unchecked]


def test_a_project_of_choices_is_sound(chain):
    choices = '<Choices name="tone" toName="image"><Choice value="warm"/><Choice value="cold"/></Choices>'
    chain.studio.project["label_config"] = f'<View><Image name="image" value="$image"/>{choices}</View>'
    found = chain.examine()
    assert found["labelling config"].detail == "choices 'tone'"
    assert [found[link].status for link in ("labelling config", "labels", "image")] == [Status.OK] * 3


def test_a_project_that_does_not_exist(chain):
    findings = chain.examine(project=8)
    assert findings["project"].status is Status.BROKEN
    assert ".../projects/<number>/" in findings["project"].remedy
    assert findings["server"].status is Status.OK


def test_the_backend_is_found_under_the_name_that_label_studio_knows(chain):
    """A compose file: Label Studio calls http://prelabel:9090, which this machine cannot resolve."""
    row = _only(chain.studio.backends)
    row["url"] = "http://prelabel.invalid:9090"
    chain.webhook()["url"] = "http://prelabel.invalid:9090/webhook"
    findings = chain.examine()
    assert {finding.status for finding in findings.values()} == {Status.OK}, findings
    assert "Label Studio knows it as http://prelabel.invalid:9090" in findings["server"].detail


def test_the_command_to_mend_it_carries_the_address(chain):
    findings = chain.examine(url="http://prelabel.invalid:9090")
    assert findings["ML backend"].remedy.endswith(f"--project {PROJECT} --url http://prelabel.invalid:9090`")


def test_every_link_hangs_on_earlier_ones():
    for number, link in enumerate(CHAIN):
        assert set(link.needs) <= {earlier.name for earlier in CHAIN[:number]}, link.name


def test_the_command_succeeds_on_a_sound_chain(chain):
    result = CliRunner().invoke(app, ["doctor", "--project", str(PROJECT)])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()] == ["ok"] * len(CHAIN)


def test_the_command_fails_when_a_link_is_broken_and_shows_the_remedy(chain):
    chain.studio.webhooks.clear()
    result = CliRunner().invoke(app, ["doctor", "--project", str(PROJECT)])
    assert result.exit_code == 1
    assert f"-> run `prelabel connect --project {PROJECT}`" in result.output
    assert "1 of the links above is broken" in result.stderr


def test_a_warning_is_no_failure(chain):
    chain.studio.predictions.clear()
    assert CliRunner().invoke(app, ["doctor", "--project", str(PROJECT)]).exit_code == 0


def test_a_setting_that_cannot_be_is_the_first_broken_link(chain):
    chain.set(PORT="x")
    result = CliRunner().invoke(app, ["doctor", "--project", str(PROJECT)])
    assert result.exit_code == 1
    assert "PORT" in result.stderr


def test_no_secret_is_shown(chain):
    chain.set(LABEL_STUDIO_API_KEY="sesame-token", BASIC_AUTH_USER="ann", BASIC_AUTH_PASS="sesame-pass")
    result = CliRunner().invoke(app, ["doctor", "--project", str(PROJECT)])
    assert "sesame" not in result.output


def test_a_serving_version_whose_file_is_missing(chain):
    settings = load_settings()
    database = Database.open(settings.database_url)
    add_promotion(database, PROJECT, store_version(settings, database, 1), "better")
    [file] = settings.model_folder.glob("versions/p7-v1-*/weights.safetensors")
    file.unlink()
    findings = chain.examine()
    assert findings["database"].status is Status.OK
    assert findings["database"].detail.endswith("p7-v1 shall serve")
    weights = findings["weights"]
    assert weights.status is Status.BROKEN
    assert weights.detail.startswith(f"the weights of p7-v1, {file}, cannot be read")
    assert weights.detail.endswith("; the base weights answer in their place")
    assert f"`prelabel versions rollback --project {PROJECT}`" in weights.remedy
    database.close()


def test_a_damaged_database_is_one_finding(chain):
    (chain.home / "prelabel.sqlite3").write_bytes(b"garbage" * 1000)
    findings = chain.examine()
    assert findings["database"].status is Status.BROKEN
    assert "prelabel.sqlite3 is damaged (file is not a database): " in findings["database"].detail
    assert [one.link for one in findings.values() if "damaged" in one.detail] == ["database"]
    for link in ("weights", "labels", "masks", "same weights", "predictions"):
        assert findings[link].status is Status.NOT_CHECKED


def test_a_provisional_version_is_told_of_and_its_labels_count(chain):
    settings = load_settings()
    database = Database.open(settings.database_url)
    version = store_head(settings, database, VERSION)
    database.close()
    chain.server.answers("/versions", Answer({"versions": [version.name]}))
    chain.studio.project["label_config"] = chain.studio.project["label_config"].replace("Box", "Wheel")
    findings = chain.examine()
    assert {finding.status for finding in findings.values()} == {Status.OK}, findings
    assert f"{version.name} shall serve" in findings["database"].detail
    assert f"{version.name}, provisional, of 2 labelled images, on {VERSION}" in findings["weights"].detail
    assert "Disc, Wheel" in findings["labels"].detail
    assert findings["same weights"].detail
    assert f"as the project shows {VERSION}" in findings["shown version"].detail
    assert version.name in findings["predictions"].detail


def test_a_provisional_version_of_other_weights_is_not_the_one_that_serves(chain):
    settings = load_settings()
    database = Database.open(settings.database_url)
    store_head(settings, database, "other-000000000000")
    database.close()
    assert chain.examine()["weights"].detail.startswith(VERSION)
