"""What cannot be followed in a labelling config is named, with the tag and what to use instead, wherever one looks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from default_limits import fetch_limits, predictor_options
from label_studio_stand_in import PROJECT, LabelStudioStandIn
from serving import ColourDetector
from weights_samples import small_checkpoint

from fbnetv3.weights import write_checkpoint
from prelabel.cli.connect import _label_map
from prelabel.connect.doctor import CheckedLink, Examination, Status, examine
from prelabel.inference.predictor import Predictor
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.project import read_project
from prelabel.labelstudio.fetching.fetcher import ImageFetcher
from prelabel.publish.annotate import AnnotateError, annotate_project
from prelabel.server.ml_backend import _log_label_map
from prelabel.settings import load_settings
from prelabel.versions.own_versions import OwnVersions

DISC = '<Label value="Disc"/>'
IMAGE = '<Image name="image" value="$image"/>'
BOXES = f'<RectangleLabels name="box" toName="image">{DISC}</RectangleLabels>'
OWN = OwnVersions(frozenset({"colour"}))


def view(*tags: str, image: str = IMAGE) -> str:
    return f"<View>{image}{''.join(tags)}</View>"


def tag(name: str, inner: str = DISC, to: str = "image", **attributes: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<{name} name="{name.lower()}" toName="{to}"{more}>{inner}</{name}>'


VIDEO = view(
    tag("VideoRectangle", "", to="v"), tag("Labels", to="v"), image='<Video name="v" value="$video"/>'
)
PAGES = view(BOXES, image='<Image name="image" valueList="$pages"/>')
TEXT = view(tag("Labels", to="t"), tag("Relations", "", to="t"), image='<Text name="t" value="$text"/>')
FIXED = view(BOXES, image='<Image name="image" value="https://user:secret@host/a.jpg?key=secret"/>')
DYNAMIC = view('<RectangleLabels name="box" toName="image" value="$labels"/>')
PDF = view(BOXES, image='<Pdf name="image" value="$pdf"/>')

NOTHING = (
    "there is no RectangleLabels, EllipseLabels, PolygonLabels, BrushLabels, BitmaskLabels or Choices on an image "
    "that can be looked at"
)

ALONE = {
    "key points": (
        view(tag("KeyPointLabels")),
        ["KeyPointLabels 'keypointlabels'", "a point is no object: use"],
    ),
    "lines": (view(tag("VectorLabels")), ["VectorLabels 'vectorlabels'", "use PolygonLabels"]),
    "videos": (
        VIDEO,
        ["VideoRectangle 'videorectangle'", "import their frames as images and use RectangleLabels"],
    ),
    "taxonomy": (view(tag("Taxonomy", '<Choice value="a"/>')), ["Taxonomy 'taxonomy'", "use Choices"]),
    "ranker": (view(tag("Ranker", "")), ["Ranker 'ranker'", "use Choices"]),
    "rating": (view(tag("Rating", "")), ["Rating 'rating'", "use Choices"]),
    "pairwise": (
        view('<Pairwise name="p" toName="image,b"/>', image=f'{IMAGE}<Image name="b" value="$b"/>'),
        ["Pairwise 'p'", "use Choices"],
    ),
    "wand": (
        view(tag("Labels"), tag("MagicWand", "")),
        ["MagicWand 'magicwand'", "add a Brush or BrushLabels tag"],
    ),
    "shapes without labels": (view(tag("Rectangle", "")), ["Rectangle 'rectangle'", "use RectangleLabels"]),
    "lists of images": (
        PAGES,
        ["RectangleLabels 'box'", 'use <Repeater on="$pages">', 'value="$pages[{{idx}}]"'],
    ),
    "fixed images": (FIXED, ["RectangleLabels 'box'", "has a fixed value (host/a.jpg)", 'value="$image"']),
    "documents": (PDF, ["RectangleLabels 'box'", "Pdf", "import its pages as images"]),
    "texts": (TEXT, [f"{NOTHING}, only Labels 'labels' on Text 't', Relations 'relations' on Text 't'"]),
    "labels of tasks": (
        DYNAMIC,
        ["RectangleLabels 'box' takes labels from the task ($labels)", "as Label tags"],
    ),
    "no tag at all": (view(), [NOTHING]),
}
"""Configs of which nothing can be filled, and what is to be said of each."""

BESIDE = {
    name: case for name, case in ALONE.items() if name not in ("key points", "wand", "no tag at all", "texts")
}


@pytest.fixture
def predictor(studio: LabelStudioStandIn, tmp_path: Path) -> Predictor:
    return Predictor(
        ColourDetector(), ImageFetcher(studio.client(), fetch_limits(), tmp_path), predictor_options()
    )


@pytest.fixture
def chain(
    studio: LabelStudioStandIn, tmp_path: Path, bare_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LabelStudioStandIn]:
    """A Label Studio that the doctor looks at, and weights."""
    write_checkpoint(small_checkpoint(("Disc", "Box"), masks=True), tmp_path / "tiny.safetensors")
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "legacy-token")
    monkeypatch.setenv("PRELABEL_HOME", str(tmp_path))
    monkeypatch.setenv("PRELABEL_WEIGHTS", str(tmp_path / "tiny.safetensors"))
    yield studio


def doctor(studio: LabelStudioStandIn) -> dict[str, CheckedLink]:
    return {finding.link: finding for finding in examine(Examination(load_settings(), PROJECT))}


@pytest.mark.parametrize(("config", "said"), ALONE.values(), ids=ALONE)
def test_annotate_does_not_begin_and_says_which_tag_is_at_fault(
    studio: LabelStudioStandIn, predictor: Predictor, config: str, said: list[str]
) -> None:
    studio.project["label_config"] = config
    with pytest.raises(AnnotateError) as error:
        annotate_project(studio.client(), predictor, read_project(studio.client(), PROJECT), OWN)
    assert str(error.value).startswith("Every prediction would be empty, because ")
    assert all(words in str(error.value) for words in said), str(error.value)
    assert "no label of the model" not in str(error.value) and "secret" not in str(error.value)


@pytest.mark.parametrize(("config", "said"), ALONE.values(), ids=ALONE)
def test_setup_logs_it(
    predictor: Predictor, config: str, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="prelabel"):
        _log_label_map(predictor, 4, config)
    assert all(words in caplog.text for words in said)
    assert "project 4: nothing will be pre-labelled by colour-1" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(("config", "said"), ALONE.values(), ids=ALONE)
def test_the_doctor_names_it(chain: LabelStudioStandIn, config: str, said: list[str]) -> None:
    chain.project["label_config"] = config
    found = doctor(chain)["labelling config"]
    assert found.status is Status.BROKEN
    assert all(words in found.detail for words in said), found.detail


@pytest.mark.parametrize(("config", "said"), ALONE.values(), ids=ALONE)
@pytest.mark.parametrize("version", ["served elsewhere", None])
def test_connect_names_it_also_where_the_weights_are_not_here(
    chain: LabelStudioStandIn, config: str, said: list[str], version: str | None
) -> None:
    chain.project["label_config"] = config
    version = version or f"tiny-{small_checkpoint(('Disc', 'Box'), masks=True).digest}"
    lines = "\n".join(_label_map(load_settings(), read_project(chain.client(), PROJECT), version))
    assert all(words in lines for words in said)


@pytest.mark.parametrize("name", BESIDE)
def test_beside_a_tag_that_is_filled_it_is_named_and_the_other_one_filled(
    chain: LabelStudioStandIn, predictor: Predictor, host: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    config, said = BESIDE[name]
    good = '<Image name="good" value="$good"/>' + BOXES.replace('"image"', '"good"').replace('"box"', '"b"')
    chain.project["label_config"] = config = config.removesuffix("</View>") + good + "</View>"
    assert LabelSpec.from_config(config, ["Disc"], 0.5).controls_for("good")
    summary = annotate_project(chain.client(), predictor, read_project(chain.client(), PROJECT), OWN)
    assert all(words in "\n".join(summary.left_out) for words in said)
    found = doctor(chain)["labelling config"]
    assert found.status is Status.WARNING and "rectanglelabels 'b'" in found.detail
    assert all(words in found.detail for words in said)
    with caplog.at_level(logging.WARNING, logger="prelabel"):
        _log_label_map(predictor, 4, config)
    assert all(words in caplog.text for words in said)
    assert "nothing will be" not in caplog.text


@pytest.mark.parametrize("tool", [tag("KeyPointLabels"), tag("KeyPoint", ""), tag("MagicWand", "")])
@pytest.mark.parametrize("shape", [BOXES, tag("BrushLabels")])
def test_tools_beside_a_tag_that_draws_are_no_fault(tool: str, shape: str) -> None:
    assert LabelSpec.from_config(view(shape, tool), ["Disc"], 0.5).left_out == ()


@pytest.mark.parametrize(
    "other", [tag("TextArea", ""), tag("Relations", ""), tag("Number", ""), '<Header value="x"/>']
)
def test_tags_that_neither_draw_nor_choose_are_no_fault(other: str) -> None:
    assert LabelSpec.from_config(view(BOXES, other), ["Disc"], 0.5).left_out == ()


def test_labels_that_do_not_match_are_said_beside_the_tag_that_is_not_followed(
    studio: LabelStudioStandIn, predictor: Predictor
) -> None:
    studio.project["label_config"] = view(BOXES.replace("Disc", "Unicorn"), tag("VectorLabels"))
    with pytest.raises(AnnotateError, match="no label of the model: it knows Disc, Box, Wedge") as error:
        annotate_project(studio.client(), predictor, read_project(studio.client(), PROJECT), OWN)
    assert "VectorLabels 'vectorlabels' gets no pre-labels" in str(error.value)


def test_masks_that_the_weights_do_not_make_are_the_reason(
    studio: LabelStudioStandIn, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ColourDetector, "has_masks", False)
    studio.project["label_config"] = view(tag("BrushLabels"))
    with pytest.raises(
        AnnotateError, match="asks for masks and the weights have boxes only: use weights with masks"
    ):
        annotate_project(studio.client(), predictor, read_project(studio.client(), PROJECT), OWN)


def test_the_doctor_looks_at_every_page_of_a_task(chain: LabelStudioStandIn, host: str) -> None:
    chain.project["label_config"] = (
        '<View><Repeater on="$pages"><Image name="p_{{idx}}" value="$pages[{{idx}}]"/>'
        f'<RectangleLabels name="r_{{{{idx}}}}" toName="p_{{{{idx}}}}">{DISC}</RectangleLabels></Repeater></View>'
    )
    [first] = chain.add_tasks("")
    data = chain.tasks[first]["data"] = {"pages": [f"http://{host}/img1.png", f"http://{host}/missing.png"]}
    config = json.dumps(chain.project["label_config"])
    assert doctor(chain)["labelling config"].status is Status.OK, config
    assert "fetching pages[0] failed" in doctor(chain)["image"].detail, (
        "private addresses are not allowed here"
    )
    data["pages"] = []
    found = doctor(chain)["image"]
    assert (found.status, found.remedy) == (Status.BROKEN, "import tasks with a list of pages under this key")
    assert "pages: The task has no image" in found.detail


@pytest.mark.parametrize(
    "config",
    [
        '<view><image NAME="image" VALUE="$image"/><rectanglelabels name="r" toname="image">'
        '<label value="Disc"/></rectanglelabels></view>',
        '<View><IMAGE name="image" value="$image"/><RECTANGLELABELS Name="r" TONAME="image">'
        '<LABEL VALUE="Disc"/></RECTANGLELABELS></View>',
    ],
)
def test_tags_and_attributes_are_read_in_any_case(config: str) -> None:
    spec = LabelSpec.from_config(config, ["Disc"], 0.5)
    [control] = spec.controls
    assert (control.image_key, dict(control.label_map), spec.left_out) == ("image", {"Disc": "Disc"}, ())
