"""The text that an expression of a Python source builds: words, and slots for values that a running program knows."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Slot:
    """A value that is not known: the names that stand there.

    `missing`: a part of the text itself, such as the start of one that is built up. No value of a prompt stands there.
    """

    name: str
    missing: bool = False


Pieces = tuple["str | Slot", ...]
LONGEST = 20_000
"""Characters of the longest text that is followed."""


def pieces_of(node: ast.expr, known: Mapping[str, Pieces | None]) -> Pieces | None:
    """The pieces of an expression, or None when it is not seen to be a text."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        return known.get(node.attr) if node.attr.isupper() else None
    if isinstance(node, ast.JoinedStr):
        return joined(
            [*each]
            for each in (
                pieces_of(part, known) if isinstance(part, ast.Constant) else or_slot(part.value, known)
                for part in node.values
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )
            if each
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = pieces_of(node.left, known), pieces_of(node.right, known)
        if left is None and right is None:
            return None
        left, right = (_slot(node.left) if left is None else left), (_slot(node.right) if right is None else right)
        return joined([left, right])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text = pieces_of(node.left, known)
        return None if text is None else _filled(text, _percent_values(node.right), r"%(?:\((\w+)\))?[sdrif]", known)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _called(node, node.func, known)
    return None


def joined(parts: Iterator[list[str | Slot]] | list[Pieces]) -> Pieces:
    """The pieces of all `parts`, words next to each other made one; a text too long to be a prompt is a missing one."""
    found: list[str | Slot] = []
    length = 0
    for part in parts:
        for piece in part:
            length += len(piece) if isinstance(piece, str) else 1
            if length > LONGEST:
                return (Slot("a long text", missing=True),)
            last = found[-1] if found else None
            if isinstance(piece, str) and isinstance(last, str):
                found[-1] = last + piece
            elif piece != "":
                found.append(piece)
    return tuple(found)


def or_slot(node: ast.expr, known: Mapping[str, Pieces | None]) -> Pieces:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and is_short(node.value):
        return (str(node.value),)
    pieces = pieces_of(node, known)
    return _slot(node) if pieces is None else pieces


def is_short(value: object) -> bool:
    # Python refuses to write a whole number of thousands of digits.
    return not isinstance(value, int) or value.bit_length() < 200


def _slot(node: ast.expr) -> Pieces:
    """A slot named after what stands first in the expression."""
    said = []
    for each in islice(ast.walk(node), 12):
        part = getattr(each, "id", None) or getattr(each, "attr", None) or getattr(each, "value", None)
        said.append(part if isinstance(part, str) else "")
    return (Slot(" ".join(filter(None, said))),)


def _called(node: ast.Call, method: ast.Attribute, known: Mapping[str, Pieces | None]) -> Pieces | None:
    text = pieces_of(method.value, known)
    if text is None:
        return None
    if method.attr in ("format", "format_map"):
        values: dict[str, ast.expr] = {str(index): each for index, each in enumerate(node.args)}
        return _formatted(text, values | {each.arg: each.value for each in node.keywords if each.arg}, known)
    if method.attr == "join" and len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):
        parts: list[Pieces] = []
        for index, each in enumerate(node.args[0].elts):
            parts += [text] * bool(index) + [or_slot(each, known)]
        return joined(parts)
    if method.attr == "replace" and len(node.args) == 2:
        old, new = pieces_of(node.args[0], known), or_slot(node.args[1], known)
        return _replaced(text, old[0], new) if old and len(old) == 1 and isinstance(old[0], str) else None
    if method.attr in ("strip", "lstrip", "rstrip") and not node.args and len(text) == 1 and isinstance(text[0], str):
        return (getattr(text[0], method.attr)(),)
    return None


def _replaced(text: Pieces, old: str, new: Pieces) -> Pieces:
    if not old:
        return text
    parts: list[Pieces] = []
    for piece in text:
        if isinstance(piece, Slot):
            parts.append((piece,))
            continue
        for index, words in enumerate(piece.split(old)):
            parts += [new] * bool(index) + [(words,)]
    return joined(parts)


def _percent_values(node: ast.expr) -> dict[str, ast.expr]:
    if isinstance(node, ast.Tuple):
        return {str(index): each for index, each in enumerate(node.elts)}
    if isinstance(node, ast.Dict):
        return {
            key.value: value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
    return {"0": node}


def _filled(text: Pieces, values: Mapping[str, ast.expr], field_: str, known: Mapping[str, Pieces | None]) -> Pieces:
    parts: list[Pieces] = []
    count = 0
    for piece in text:
        if isinstance(piece, Slot):
            parts.append((piece,))
            continue
        last = 0
        for match in re.finditer(field_, piece):
            name = match[1] or str(count)
            count += match[1] is None
            parts += [(piece[last : match.start()].replace("%%", "%"),), _value(values, name, known)]
            last = match.end()
        parts.append((piece[last:].replace("%%", "%"),))
    return joined(parts)


def _formatted(text: Pieces, values: Mapping[str, ast.expr], known: Mapping[str, Pieces | None]) -> Pieces | None:
    parts: list[Pieces] = []
    count = 0
    for piece in text:
        if isinstance(piece, Slot):
            parts.append((piece,))
            continue
        try:
            for words, name, _, _ in string.Formatter().parse(piece):
                parts.append((words,))
                if name is not None:
                    parts.append(_value(values, name or str(count), known))
                    count += not name
        except ValueError:
            return None
    return joined(parts)


def _value(values: Mapping[str, ast.expr], name: str, known: Mapping[str, Pieces | None]) -> Pieces:
    return or_slot(values[name], known) if name in values else (Slot(name),)
