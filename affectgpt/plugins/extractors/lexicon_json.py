"""Answers that are a JSON object: extract the fields about emotions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from affectgpt.plugins.extractors.checklist_notations import is_verdict
from affectgpt.plugins.extractors.checklist_values import read_value
from affectgpt.plugins.extractors.lexicon_lists import is_heading

_DECODER = json.JSONDecoder()
_WORD = re.compile(r"(?!json\b)\b[^\W\d_]{2}")
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
_NAME_FIELDS = frozenset({"name", "label", "emotion", "feeling", "category", "class", "type", "情绪", "情感", "名称"})


def json_as_text(text: str, names_emotion: Callable[[str], bool]) -> str:
    """Replace JSON objects in `text`: one "emotion: ..." line per field with a heading key, and nothing else.

    A checklist gives a line of `name: value` for each item: an object whose fields are all emotion words, or two of
    them at least where no heading stands, with a yes or no, a score, or an object that holds a verdict
    ({"anger": {"present": false}}); an object of a name and a verdict ({"emotion": "anger", "present": false}); a pair
    (["anger", 0]); and lists under what is said of them ({"absent": ["anger"]}). Without such a field, the text without
    the objects. Objects may be in a list or between words (a
    code fence). Malformed JSON stays as text.
    """
    values: list[Any] = []
    around: list[str] = []
    position = 0
    while (start := text.find("{", position)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        values.append(value)
        around.append(text[position:start])
        position = end
    around.append(text[position:])
    is_item = len(values) > 1 or not _WORD.search("".join(around))
    lines = [line for value in values for line in _lines(value, names_emotion, is_item)]
    return "\n".join(lines or around)


def _lines(value: Any, names_emotion: Callable[[str], bool], is_item: bool) -> Iterator[str]:
    """The texts under the heading keys of a JSON value and its checklists, in order, at any depth."""
    stack = [(value, is_item)]
    while stack:
        value, is_item = stack.pop()
        if isinstance(value, list):
            if (
                len(value) == 2
                and isinstance(value[0], str)
                and names_emotion(value[0])
                and _value(value[1]) is not None
            ):
                yield f"{value[0]}: {value[1]}"
            stack.extend((inner, len(value) > 1) for inner in reversed(value))
        elif isinstance(value, dict):
            record = _record(value, names_emotion)
            if record:
                yield record
                continue
            yield from _checklist(value, names_emotion, is_item and len(value) == 1)
            for key, inner in value.items() if not _is_absent(value) else ():
                if is_heading(_name(key).lower()) and (texts := _texts(inner)):
                    yield f"emotion: {', '.join(texts)}"
            stack.extend((inner, False) for inner in reversed(value.values()) if isinstance(inner, dict | list))


def _checklist(fields: dict[str, Any], names_emotion: Callable[[str], bool], is_item: bool) -> Iterator[str]:
    """The items of an object; `is_item` says that it is one of several or the whole text: then one field is enough."""
    items = {_name(key): field for key, field in fields.items() if names_emotion(_name(key))}
    values = {name: value for name, field in items.items() if (value := _verdict(field)) is not None}
    are_plain = all((read_value(value) or (0, False))[1] for value in values.values())
    are_numbers = all(isinstance(field, int | float) and not isinstance(field, bool) for field in items.values())
    has_heading = any(is_heading(_name(key).lower()) and _texts(field) for key, field in fields.items())
    is_checklist = len(items) > 1 and (len(items) == len(fields) or not has_heading)
    are_nested = all(isinstance(field, dict) for field in items.values())
    if len(values) == len(items) and (is_checklist or is_item) and (are_plain or are_numbers or are_nested):
        yield from (f"{name}: {value}" for name, value in values.items())
    for key, field in fields.items():
        verdict = _value(key)
        names = [text for text in _texts(field) if _value(text) is None and names_emotion(text)]
        if verdict is not None and verdict[1] and not key[:1].isdigit() and names:
            yield from (f"{name}: {'yes' if verdict[0] else 'no'}" for name in names)


def _record(fields: dict[str, Any], names_emotion: Callable[[str], bool]) -> str:
    """The item that an object of a name and a verdict is, "" for another object."""
    names = [field for key, field in fields.items() if _name(key).lower() in _NAME_FIELDS and isinstance(field, str)]
    verdict = next((field for key, field in fields.items() if is_verdict(key) and _value(field)), None)
    return f"{names[0]}: {verdict}" if len(names) == 1 and verdict is not None and names_emotion(names[0]) else ""


def _verdict(field: Any) -> str | None:
    """What the value of an emotion's field says, as text: a value, an object with a verdict, or a list of evidence."""
    if isinstance(field, dict):
        return next((str(inner) for key, inner in field.items() if is_verdict(key) and _value(inner)), None)
    if isinstance(field, list) or field is None:
        return "yes" if field else "no"
    return str(field) if _value(field) is not None else None


def _name(key: str) -> str:
    return _HUMP.sub(" ", key).replace("_", " ")


def _is_absent(fields: dict[str, Any]) -> bool:
    return any(is_verdict(key) and (_value(field) or (1.0,))[0] == 0 for key, field in fields.items())


def _value(field: Any) -> tuple[float, bool] | None:
    return read_value(str(field)) if isinstance(field, str | int | float) else None


def _texts(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
