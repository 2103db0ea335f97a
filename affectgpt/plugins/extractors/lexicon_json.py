"""Answers that are a JSON object: extract the fields about emotions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from affectgpt.plugins.extractors.checklists import read_value
from affectgpt.plugins.extractors.lexicon_lists import is_heading

_DECODER = json.JSONDecoder()
_VERDICTS = frozenset({"present", "presence", "detected", "exists", "value", "score", "answer", "intensity"})
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")


def json_as_text(text: str, names_emotion: Callable[[str], bool]) -> str:
    """Replace JSON objects in `text`: one "emotion: ..." line per field with a heading key, and nothing else.

    An object of two fields or more that are all emotion words with yes or no, or all with numbers, is a checklist: a
    line per field. An object with a verdict beside its heading ({"emotion": "anger", "present": false}) names nothing
    that is absent. Without such a field, the text without the objects. Objects may be in a list or between words (a
    code fence). Malformed JSON stays as text.
    """
    lines: list[str] = []
    around: list[str] = []
    position = 0
    while (start := text.find("{", position)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        lines.extend(_lines(value, names_emotion))
        around.append(text[position:start])
        position = end
    return "\n".join(lines or [*around, text[position:]])


def _lines(value: Any, names_emotion: Callable[[str], bool]) -> Iterator[str]:
    """The texts under the heading keys of a JSON value and its checklists, in order, at any depth."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(value))
        elif isinstance(value, dict):
            yield from _checklist(value, names_emotion)
            for key, inner in value.items() if not _is_absent(value) else ():
                if is_heading(_HUMP.sub(" ", key).lower()) and (texts := _texts(inner)):
                    yield f"emotion: {', '.join(texts)}"
            stack.extend(inner for inner in reversed(value.values()) if isinstance(inner, dict | list))


def _checklist(fields: dict[str, Any], names_emotion: Callable[[str], bool]) -> Iterator[str]:
    names = [_HUMP.sub(" ", key).replace("_", " ") for key in fields]
    values = [_value(field) for field in fields.values()]
    are_plain = all(value is not None and value[1] for value in values)
    are_numbers = all(isinstance(field, int | float) and not isinstance(field, bool) for field in fields.values())
    if len(names) > 1 and (are_plain or are_numbers) and all(map(names_emotion, names)):
        yield from (f"{name}: {field}" for name, field in zip(names, fields.values(), strict=True))


def _is_absent(fields: dict[str, Any]) -> bool:
    return any(key.lower() in _VERDICTS and (_value(field) or (1.0,))[0] == 0 for key, field in fields.items())


def _value(field: Any) -> tuple[float, bool] | None:
    return read_value(str(field)) if isinstance(field, str | int | float) else None


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
