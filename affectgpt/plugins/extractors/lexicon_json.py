"""Answers that are a JSON object: extract the fields about emotions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from affectgpt.plugins.extractors.checklists import says_absent
from affectgpt.plugins.extractors.lexicon_lists import is_heading

_DECODER = json.JSONDecoder()
_VERDICTS = frozenset({"present", "presence", "detected", "exists", "value", "score", "answer", "intensity"})
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")


def json_as_text(text: str) -> str:
    """Replace JSON objects in `text`: one "emotion: ..." line per field with a heading key, and nothing else.

    An object with a verdict beside its heading ({"emotion": "anger", "present": false}) names nothing that is absent.
    Without such a field, the text without the objects. Objects may be in a list or between words (a code fence).
    Malformed JSON stays as text.
    """
    lines: list[str] = []
    around: list[str] = []
    position = 0
    while (start := text.find("{", position)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        lines.extend(f"emotion: {words}" for words in _texts_under_headings(value))
        around.append(text[position:start])
        position = end
    return "\n".join(lines or [*around, text[position:]])


def _texts_under_headings(value: Any) -> Iterator[str]:
    """The texts under the heading keys of a JSON value, in order, at any depth."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(value))
        elif isinstance(value, dict):
            for key, inner in value.items() if not _is_absent(value) else ():
                if is_heading(_HUMP.sub(" ", key).lower()) and (texts := _texts(inner)):
                    yield ", ".join(texts)
            stack.extend(inner for inner in reversed(value.values()) if isinstance(inner, dict | list))


def _is_absent(fields: dict[str, Any]) -> bool:
    return any(
        key.lower() in _VERDICTS and isinstance(value, str | int | float) and says_absent(str(value))
        for key, value in fields.items()
    )


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
