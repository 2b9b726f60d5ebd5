"""Reading the tags of a labelling config: which image they are on, and the attributes that steer pre-labelling."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.interface import LabelStudioXMLSyntaxErrorSentryIgnored

from prelabel.labelstudio.config.image_values import image_key
from prelabel.labelstudio.config.unsupported import image_problem
from prelabel.labelstudio.config.xml import respelled
from prelabel.labelstudio.errors import LabelConfigError

Tag = Any
"""A control or object tag of the SDK: its classes declare all fields optional, parsed tags have them."""

DECLARATION = re.compile(r"\A\ufeff?\s*<\?xml[^>]*\?>")
"""What says how a file is encoded; the SDK's parser takes none in text."""

TRUE_WORDS, FALSE_WORDS = ("true", "1", "yes"), ("false", "0", "no", "")


def parse_config(xml: str) -> LabelInterface:
    """The SDK's view of a labelling config. Raises LabelConfigError."""
    if not isinstance(xml, str):
        raise LabelConfigError("The labelling config must be text.")
    try:
        return LabelInterface(DECLARATION.sub("", respelled(xml), count=1))
    except (LabelStudioXMLSyntaxErrorSentryIgnored, TypeError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    raise LabelConfigError(f"The labelling config cannot be read: {reason}.")


def image_key_of(tag: Tag | None) -> tuple[str, str]:
    """(key of the task data, "") of an image tag, or ("", why it cannot be used and what to use instead)."""
    key = ""
    if tag is not None and tag.tag.lower() == "image" and not tag.attr.get("valueList"):
        key = image_key(tag.value)
    return key, "" if key else image_problem(tag)


Default = TypeVar("Default", float, float | None)


def read_threshold(tag: Tag, default: Default) -> float | Default:
    """The model_score_threshold of a control tag, 0..1. Raises LabelConfigError."""
    text = tag.attr.get("model_score_threshold", "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise LabelConfigError(
            f"model_score_threshold of {tag.tag} {tag.name!r} must be a number from 0 to 1, not {text!r}."
        )
    return value


def read_flag(tag: Tag, attribute: str) -> bool:
    """Whether an attribute of a tag says yes. Raises LabelConfigError."""
    text = tag.attr.get(attribute, "").strip().lower()
    if text not in TRUE_WORDS + FALSE_WORDS:
        raise LabelConfigError(f"{attribute} of {tag.tag} {tag.name!r} must be true or false, not {text!r}.")
    return text in TRUE_WORDS
