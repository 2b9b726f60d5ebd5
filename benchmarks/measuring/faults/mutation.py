"""Damage and odd values, drawn by a `random.Random`: the same one gives the same damage again."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

#: Bytes that decoders of headers, lengths and counts are sensitive to.
ODD_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
#: Headers, where sizes and types stand, lie at the beginning of most formats.
HEADER = 64
LONGEST_CHUNK = 256
#: Each kind that JSON has, at its borders; numbers and truths as text; names that people and programs stumble over.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e-9, 1e9, -1e300, 2**31, 2**63, 10**40),
    *(float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "0",
        "1",
        "-3.5",
        "1e3",
        "NaN",
        "null",
        "true",
        "\u0661\u0662",
        "\u00e9\u4e2d\U0001f34e",
        "a\x00b",
    ),
    *("../../etc/passwd", "x" * 5000, "<b>&amp;</b>", "%00%2e%2e", "$image", "{{x}}"),
    *([], {}, [[]], [None], [1, 2, 3, 4], [float("nan")] * 4, [[0, 0]] * 6, {"id": 1}, {"a": {"b": []}}),
)
#: Chance to stop at a node on the way down into a value: objects and lists are damaged as well as what is in them, the
#: whole now and then.
STOP, STOP_AT_ONCE = 0.15, 0.03
ATTRIBUTE, TAG = re.compile(r' [A-Za-z_]+="([^"]*)"'), re.compile(r"<([A-Za-z]+)[^<>]*>")
ODD_WORDS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "NaN",
        "inf",
        "1e309",
        "true",
        "maybe",
        "$",
        "$image",
        "$images[0]",
        "$a.b.c",
        "$0",
    ),
    *(
        "{{i}}",
        "$pages[{{i}}]",
        "http://127.0.0.1/$image",
        "&lt;b&gt;",
        "\u00e9\u4e2d",
        "x" * 2000,
        "apple,banana,,",
        "View",
    ),
    *(
        "Image",
        "Labels",
        "Label",
        "Repeater",
        "BrushLabels",
        "EllipseLabels",
        "VideoRectangle",
        "HyperText",
        "Style",
    ),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "shift-jis")


def damaged(dice: random.Random, content: bytes, others: Sequence[bytes] = ()) -> bytes:
    """One to three damages. `others`: whose pieces may be spliced in, besides the content's own."""
    for _ in range(dice.randint(1, 3)):
        content = dice.choice(DAMAGES)(dice, content, others)
    return content


def odd(dice: random.Random, value: Any, most: int = 3) -> Any:
    """JSON like `value` with one to `most` odd places; it may hold NaN. `value` stays as it is."""
    root = [copy.deepcopy(value)]
    for _ in range(dice.randint(1, most)):
        dice.choice(EDITS)(dice, *_place(dice, root))
    return root[0]


def written(dice: random.Random, value: Any) -> bytes:
    """The value as JSON, in some encoding where it can be, now and then cut or damaged."""
    text = json.dumps(value, ensure_ascii=dice.random() < 0.5)
    encoding = dice.choice(ENCODINGS) if dice.random() < 0.3 else "utf-8"
    content = text.encode(encoding, "replace")
    return damaged(dice, content) if dice.random() < 0.1 else content


def as_file(value: Any) -> bytes:
    """An input to look at; NaN and infinities as Python writes them."""
    return json.dumps(value, indent=1).encode()


def odd_text(dice: random.Random, text: str) -> str:
    """Text with a few characters gone, doubled, replaced or moved; never more than four times as long."""
    for _ in range(dice.randint(1, 3)):
        start = dice.randrange(len(text) + 1)
        end = min(start + dice.choice((0, 1, 1, 2, 8, 40)), len(text))
        words = (
            "",
            text[start:end] * 2,
            dice.choice("<>&\"'/=$[]{}. \t\n\x01\ufeff\u00e9"),
            _slice(dice, text),
        )
        text = text[:start] + dice.choice(words) + text[end:]
    return text


def odd_xml(dice: random.Random, xml: str) -> str:
    """XML with a few tags or attributes changed, or not XML any more."""
    for _ in range(dice.randint(1, 3)):
        parts = list(dice.choice((ATTRIBUTE, ATTRIBUTE, TAG)).finditer(xml))
        if not parts:
            return odd_text(dice, xml)
        part = dice.choice(parts)
        word = dice.choice((part[1], dice.choice(ODD_WORDS), dice.choice(parts)[1]))
        new = part[0].replace(part[1], word) if dice.random() < 0.8 else dice.choice(("", part[0] * 2))
        xml = xml[: part.start()] + new + xml[part.end() :]
    return odd_text(dice, xml) if dice.random() < 0.1 else xml


def _slice(dice: random.Random, text: str) -> str:
    start = dice.randrange(len(text) + 1)
    return text[start : start + dice.randint(1, 60)]


def _flip(dice: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _bit in range(dice.choice((1, 1, 2, 8, 64))) if content else ():
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _edit_header(dice: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _byte in range(dice.randint(1, 6)) if content else ():
        changed[dice.randrange(min(HEADER, len(changed)))] = dice.choice((*ODD_BYTES, dice.randrange(256)))
    return bytes(changed)


def _cut(dice: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _remove(dice: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start = dice.randrange(len(content) + 1)
    return content[:start] + content[start + dice.randint(1, LONGEST_CHUNK) :]


def _splice(dice: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    donor = dice.choice((content, *others))
    start, place = dice.randrange(len(donor) + 1), dice.randrange(len(content) + 1)
    chunk = donor[start : start + dice.randint(1, LONGEST_CHUNK)]
    return content[:place] + chunk + content[place + dice.choice((0, len(chunk))) :]


def _fill(dice: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place, length = dice.randrange(len(content) + 1), dice.randint(1, LONGEST_CHUNK)
    return content[:place] + bytes([dice.choice(ODD_BYTES)]) * length + content[place + length :]


Damage = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
DAMAGES: tuple[Damage, ...] = (_flip, _edit_header, _cut, _remove, _splice, _fill)


def _place(dice: random.Random, root: list[Any]) -> tuple[Any, Any]:
    """A list or object somewhere in the value, and a key of it."""
    holder: Any = root
    key: Any = 0
    stop = STOP_AT_ONCE
    while isinstance(child := holder[key], list | dict) and child and dice.random() > stop:
        stop = STOP
        holder, key = child, dice.choice(list(child) if isinstance(child, dict) else range(len(child)))
    return holder, key


def _replace(dice: random.Random, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(dice.choice(ODD_VALUES))


def _drop(_: random.Random, holder: Any, key: Any) -> None:
    holder.pop(key) if len(holder) > 1 else holder.__setitem__(key, None)


def _as_text(_: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = value if isinstance(value, str) else json.dumps(value)


def _wrap(dice: random.Random, holder: Any, key: Any) -> None:
    holder[key] = dice.choice(([holder[key]], {"value": holder[key]}))


def _nudge(dice: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    holder[key] = dice.choice((-value, value * 1000, value + 0.5, value - 1)) if is_number else [value, value]


def _repeat(dice: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(dice.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    else:
        holder[dice.choice(list(holder))] = copy.deepcopy(holder[key])


def _rename(dice: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[dice.choice((key.upper(), f"{key} ", "", "\ufeff" + key, key[::-1]))] = holder.pop(key)
    else:
        dice.shuffle(holder)


Edit = Callable[[random.Random, Any, Any], None]
EDITS: tuple[Edit, ...] = (
    _replace,
    _replace,
    _replace,
    _drop,
    _drop,
    _as_text,
    _wrap,
    _nudge,
    _repeat,
    _rename,
)
