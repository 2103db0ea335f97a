"""Answers that are a JSON object: what is said of emotions in it, without its keys and other fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from affectgpt.plugins.extractors.lexicon_lists import is_heading

_DECODER = json.JSONDecoder()
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")


def spoken(text: str) -> str:
    """`text` with its JSON objects read: one "emotion: ..." line per field that a heading names, and nothing else.

    Where no heading names a field, the text without the objects. Objects may stand in a list or between other words
    (a code fence). Malformed JSON is text as any other.
    """
    said: list[str] = []
    around: list[str] = []
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        said.extend(f"emotion: {words}" for words in _said(value))
        around.append(text[at:start])
        at = end
    return "\n".join(said or [*around, text[at:]])


def _said(value: Any) -> Iterator[str]:
    """The texts under the heading keys of a JSON value, in order, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            for key, inner in value.items():
                if is_heading(_HUMP.sub(" ", key).lower()) and (texts := _texts(inner)):
                    yield ", ".join(texts)
            waiting.extend(inner for inner in reversed(value.values()) if isinstance(inner, dict | list))


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
