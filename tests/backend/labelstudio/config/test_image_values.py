"""What an Image tag's value stands for: keys, paths with indices, values that variables are a part of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.labelstudio.config.image_values import image_key, image_value, shown_key

DATA = {
    "image": "a",
    "photo": {"url": "b", "size": 7},
    "photo.size": "c",
    "my-image": "d",
    "größe": "e",
    "images": ["f", "g"],
    "shots": [{"url": "h"}, {"url": "i"}],
    "a": {"b": [{"c": "j"}, {"c": ["k", "l"]}]},
    "file": "x.jpg",
    "prefix": "http://host/folder",
    "number": 3,
    "half": 0.5,
    "whole": 4.0,
    "empty": "",
    "nothing": None,
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$image", "a"),
        (" $image ", "a"),
        ("$photo.url", "b"),
        ("$photo.size", "c"),  # literally before as a path
        ("$my-image", "d"),
        ("$größe", "e"),
        ("$images[0]", "f"),
        ("$images[1]", "g"),
        ("$shots[1].url", "i"),
        ("$a.b[0].c", "j"),
        ("$a.b[1].c[1]", "l"),
        ("http://host/$file", "http://host/x.jpg"),
        ("$prefix/$file", "http://host/folder/x.jpg"),
        ("http://host/?d=imgs/$file&n=$number", "http://host/?d=imgs/x.jpg&n=3"),
        ("/data/$half/$whole/$images[1]", "/data/0.5/4/g"),
        ("$shots[0].url/$file", "h/x.jpg"),
        # what is missing is no image, never half an address
        ("$images[2]", None),
        ("$images[99999999999999999999]", None),
        ("$images[-1]", None),
        ("$images[x]", None),
        ("$images.url", None),
        ("$image[0]", None),
        ("$image.url", None),
        ("$photo[0]", None),
        ("$shots[0].path", None),
        ("$nothing", None),
        ("http://host/$missing", None),
        ("http://host/$empty", None),
        ("http://host/$nothing", None),
        ("http://host/$photo", None),
        ("http://host/$images", None),
        ("http://host/$file.jpg", None),  # the editor takes it for a path, too
    ],
)
def test_a_value_is_followed_into_the_data(value: str, expected: str | None) -> None:
    assert image_value(DATA, image_key(value)) == expected


@pytest.mark.parametrize("value", ["http://host/a.jpg", "", " ", "$", "price: 5 $", "/data/upload/1/a.jpg"])
def test_a_value_without_a_variable_has_no_key(value: str) -> None:
    assert image_key(value) == ""


def test_messages_have_no_password_and_no_query() -> None:
    key = image_key("https://user:secret@host/$file?signature=secret")
    assert image_value({"file": "x"}, key) == "https://user:secret@host/x?signature=secret"
    assert shown_key(key) == "host/$file"
    assert shown_key("shots[0].url") == "shots[0].url"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab[].0$", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text("ab[].0$", max_size=3), values, max_size=3), st.text("$ab[]{}.01-/", max_size=12)
)
def test_any_value_in_any_data_is_something_or_none(data: dict[str, Any], value: str) -> None:
    found = image_value(data, image_key(value))
    assert found is None or "$" not in image_key(value) or isinstance(found, str) or image_key(value) in data
