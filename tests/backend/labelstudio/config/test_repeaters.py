"""Repeaters written out for a task as Label Studio's editor does it, and what cannot be."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from prelabel.labelstudio.config import repeaters
from prelabel.labelstudio.config.label_spec import LabelSpec
from prelabel.labelstudio.config.repeaters import expand
from prelabel.labelstudio.errors import LabelConfigError

LABELS = '<Label value="Disc"/><Label value="R &amp; D &lt;{{idx}}&gt;"/>'
PAGES = (
    '<View><Header value="Pages"/><Repeater on="$images" indexFlag="{{idx}}" mode="pagination">'
    '<Image name="page_{{idx}}" value="$images[{{idx}}].url"/>'
    f'<RectangleLabels name="labels_{{{{idx}}}}" toName="page_{{{{idx}}}}">{LABELS}</RectangleLabels>'
    "</Repeater></View>"
)
NESTED = """<View><Repeater on="$docs" indexFlag="{{d}}"><Repeater on="$docs[{{d}}].pages" indexFlag="{{p}}"><View>
  <Image name="i{{d}}_{{p}}" value="$docs[{{d}}].pages[{{p}}]"/>
  <BrushLabels name="m{{d}}_{{p}}" toName="i{{d}}_{{p}}"><Label value="Disc"/></BrushLabels>
</View></Repeater></Repeater></View>"""


def spec_of(config: str, data: Any) -> LabelSpec:
    return LabelSpec.from_config(expand(config, data).xml, ["Disc"], 0.5)


def keys(config: str, data: Any) -> list[tuple[str, str]]:
    """(control, image key) of the config written out."""
    return [(control.from_name, control.image_key) for control in spec_of(config, data).controls]


@pytest.mark.parametrize("pages", [1, 2, 3, 12])
def test_every_page_has_tags_of_its_own(pages: int) -> None:
    data = {"images": [{"url": str(number)} for number in range(pages)]}
    assert keys(PAGES, data) == [(f"labels_{n}", f"images[{n}].url") for n in range(pages)]
    assert expand(PAGES, data).problems == ()
    written_out = LabelInterface(expand(PAGES, data).xml)
    written_out.validate()
    assert list(written_out.get_control("labels_0").labels_attrs) == ["Disc", "R & D <0>"]


@pytest.mark.parametrize(
    "spelling",
    [
        ("Repeater", "on", "indexFlag"),
        ("repeater", "ON", "indexflag"),
        ("REPEATER", "On", "INDEXFLAG"),
    ],
)
def test_names_are_taken_in_any_case_and_flags_as_they_are(spelling: tuple[str, str, str]) -> None:
    tag, on, flag = spelling
    config = (
        f'<View><{tag} {on}="$a.list" {flag}="#"><Image name="p#" value="$a.list[#]"/>'
        '<RectangleLabels name="r#" toName="p#"><Label value="Disc"/></RectangleLabels>'
        f"</{tag}></View>"
    )
    assert keys(config, {"a": {"list": ["x", "y"]}}) == [("r0", "a.list[0]"), ("r1", "a.list[1]")]


def test_the_flag_has_a_default() -> None:
    config = PAGES.replace(' indexFlag="{{idx}}"', "")
    assert keys(config, {"images": [{}, {}]}) == [
        ("labels_0", "images[0].url"),
        ("labels_1", "images[1].url"),
    ]


def test_repeaters_in_repeaters() -> None:
    data = {"docs": [{"pages": ["a", "b"]}, {"pages": ["c"]}]}
    assert keys(NESTED, data) == [
        ("m0_0", "docs[0].pages[0]"),
        ("m0_1", "docs[0].pages[1]"),
        ("m1_0", "docs[1].pages[0]"),
    ]
    with_one_flag = (
        NESTED.replace("{{d}}", "{{idx}}").replace("{{p}}", "{{idx}}").replace(' indexFlag="{{idx}}"', "")
    )
    assert keys(with_one_flag, data) == keys(NESTED, data), (
        "the outer Repeater has the first flag of an attribute"
    )


def test_a_repeater_may_be_the_root_and_have_neighbours() -> None:
    inner = PAGES.removeprefix('<View><Header value="Pages"/>').removesuffix("</View>")
    assert len(keys(inner, {"images": [{}, {}]})) == 2
    more = (
        '<Image name="cover" value="$cover"/>'
        '<RectangleLabels name="r" toName="cover"><Label value="Disc"/></RectangleLabels></View>'
    )
    both = PAGES.removesuffix("</View>") + more
    assert [key for _, key in keys(both, {"images": [{}], "cover": "x"})] == ["images[0].url", "cover"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "is not in the task, or is no list"),
        ({"images": "text"}, "is not in the task, or is no list"),
        ({"images": {"0": "x"}}, "is not in the task, or is no list"),
        ({"images": None}, "is not in the task, or is no list"),
        ({"images": []}, "is empty"),
        (None, "is not in the task, or is no list"),
        ("text", "is not in the task, or is no list"),
    ],
)
def test_a_task_without_its_list_of_pages_has_no_image_and_says_so(data: Any, why: str) -> None:
    expanded = expand(PAGES, data)
    assert expanded.problems == (f"images: The task has no image: the list of its pages {why}.",)
    assert keys(PAGES, data) == []


def test_a_missing_list_of_texts_is_nobodys_concern() -> None:
    config = '<View><Repeater on="$texts"><Text name="t{{idx}}" value="$texts[{{idx}}]"/></Repeater></View>'
    assert expand(config, {}).problems == ()


@pytest.mark.parametrize(
    "config",
    [
        "<View><Repeater",
        "words about a repeater",
        "",
        '<View><Header value="repeater"/></View>',
        "<View><!-- <Repeater/> --></View>",
        '<!DOCTYPE v [<!ENTITY a "b">]><View><Repeater on="$images"><Header value="&a;"/></Repeater></View>',
        '<!doctype v SYSTEM "file:///etc/passwd"><View><Repeater on="$images"/></View>',
        "<View>" * 3000 + '<Repeater on="$images"/>' + "</View>" * 3000,
        '<View><Repeater value="\ud800"/></View>',
        None,
    ],
)
def test_what_has_no_repeater_that_can_be_read_stays_as_it_is(config: Any) -> None:
    assert expand(config, {"images": [1, 2]}) == repeaters.TaskConfig(config)


def test_entities_do_not_multiply() -> None:
    """A thousand million laughs, if anybody were to laugh."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE v [<!ENTITY e0 "ha">{entities}]><View><Repeater on="$a"><Header value="&e9;"/></Repeater></View>'
    assert expand(bomb, {"a": [1] * 100}).xml == bomb
    with pytest.raises(LabelConfigError):
        spec_of(bomb, {"a": [1]})


def test_pages_are_bounded_and_those_left_out_are_said() -> None:
    data = {"images": [{}] * (repeaters.MAX_PAGES + 5)}
    assert len(keys(PAGES, data)) == repeaters.MAX_PAGES
    [problem] = expand(PAGES, data).problems
    assert problem.startswith("images: only the first 500 of its 505 pages are looked at")


def test_tags_are_bounded_where_repeaters_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeaters, "MAX_TAGS", 100)
    expanded = expand(NESTED, {"docs": [{"pages": ["x"] * 400}] * 400})
    assert len(list(ElementTree.fromstring(expanded.xml).iter())) < 200
    assert any("docs[0].pages: only the first" in problem for problem in expanded.problems)


def test_tags_that_have_one_name_on_all_pages_are_named() -> None:
    spec = LabelSpec.from_config(PAGES.replace('name="labels_{{idx}}"', 'name="labels"'), ["Disc"], 0.5)
    assert spec.left_out == (
        "'labels' has the same name on every page of its Repeater, so only the last page is followed: "
        "call it 'labels_{{idx}}'",
    )
    half = NESTED.replace('name="m{{d}}_{{p}}"', 'name="m{{p}}"')
    [note] = LabelSpec.from_config(half, ["Disc"], 0.5).left_out
    assert note.endswith("call it 'm{{p}}_{{d}}'")
    assert LabelSpec.from_config(PAGES, ["Disc"], 0.5).left_out == ()


tags = st.sampled_from(
    ["View", "Repeater", "repeater", "Image", "RectangleLabels", "Label", "Choices", "Odd-Tag"]
)
attributes = st.dictionaries(
    st.sampled_from(["on", "name", "value", "toName", "indexFlag", "indexflag", "mode"]),
    st.sampled_from(["$a", "$a[{{idx}}]", "{{idx}}", "x_{{idx}}", "", "$a.b", "0", "&amp;", "$b[0]"]),
    max_size=4,
)


def _element(tag: str, attributes: dict[str, str], children: list[str]) -> str:
    named = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{named}>{''.join(children)}</{tag}>"


configs = st.recursive(
    st.builds(_element, tags, attributes, st.just([])),
    lambda inner: st.builds(_element, tags, attributes, st.lists(inner, max_size=4)),
    max_leaves=12,
)
datas = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@given(configs | st.text(max_size=40), datas)
def test_no_config_and_no_task_make_it_fail(config: str, data: Any) -> None:
    expanded = expand(config, data)
    assert expand(expanded.xml, data).xml == expanded.xml, "nothing is left to write out"
    try:
        LabelSpec.from_config(expanded.xml, ["Disc"], 0.5)
    except LabelConfigError as error:
        assert "\n" not in str(error)
