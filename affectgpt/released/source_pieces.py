"""The text that a Python expression builds: words, and slots for values known only at run time."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Slot:
    """An unknown value, by the names in its expression.

    `missing`: an unknown part of the text itself, such as the start of a text that is extended, not a value in it.
    """

    name: str
    missing: bool = False


Pieces = tuple["str | Slot", ...]
LONGEST = 20_000
"""Longest text, in characters."""


def pieces_of(node: ast.expr, variables: Mapping[str, Pieces | None]) -> Pieces | None:
    """The pieces of an expression, or None when it is not recognised as a text."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return variables.get(node.id)
    if isinstance(node, ast.Attribute):
        return variables.get(node.attr) if node.attr.isupper() else None
    if isinstance(node, ast.JoinedStr):
        return join_pieces(
            [*inner]
            for inner in (
                pieces_of(part, variables) if isinstance(part, ast.Constant) else pieces_or_slot(part.value, variables)
                for part in node.values
                if isinstance(part, ast.Constant | ast.FormattedValue)
            )
            if inner
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left_pieces, right_pieces = pieces_of(node.left, variables), pieces_of(node.right, variables)
        if left_pieces is None and right_pieces is None:
            return None
        left_pieces, right_pieces = (
            (_slot(node.left) if left_pieces is None else left_pieces),
            (_slot(node.right) if right_pieces is None else right_pieces),
        )
        return join_pieces([left_pieces, right_pieces])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text = pieces_of(node.left, variables)
        return (
            None
            if text is None
            else _percent_pieces(text, _percent_values(node.right), r"%(?:\((\w+)\))?[sdrif]", variables)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _method_pieces(node, node.func, variables)
    return None


def join_pieces(parts: Iterator[list[str | Slot]] | list[Pieces]) -> Pieces:
    """The pieces of all `parts`, adjacent words merged; a text too long for a prompt becomes one missing slot."""
    pieces: list[str | Slot] = []
    length = 0
    for part in parts:
        for piece in part:
            length += len(piece) if isinstance(piece, str) else 1
            if length > LONGEST:
                return (Slot("a long text", missing=True),)
            last = pieces[-1] if pieces else None
            if isinstance(piece, str) and isinstance(last, str):
                pieces[-1] = last + piece
            elif piece != "":
                pieces.append(piece)
    return tuple(pieces)


def pieces_or_slot(node: ast.expr, variables: Mapping[str, Pieces | None]) -> Pieces:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and is_short(node.value):
        return (str(node.value),)
    pieces = pieces_of(node, variables)
    return _slot(node) if pieces is None else pieces


def is_short(value: object) -> bool:
    # Python refuses to write a whole number of thousands of digits.
    return not isinstance(value, int) or value.bit_length() < 200


def _slot(node: ast.expr) -> Pieces:
    """A slot named after the first names in the expression."""
    words = []
    for child in islice(ast.walk(node), 12):
        part = getattr(child, "id", None) or getattr(child, "attr", None) or getattr(child, "value", None)
        words.append(part if isinstance(part, str) else "")
    return (Slot(" ".join(filter(None, words))),)


def _method_pieces(node: ast.Call, method: ast.Attribute, variables: Mapping[str, Pieces | None]) -> Pieces | None:
    text = pieces_of(method.value, variables)
    if text is None:
        return None
    if method.attr in ("format", "format_map"):
        values: dict[str, ast.expr] = {str(index): argument for index, argument in enumerate(node.args)}
        return _format_pieces(
            text, values | {argument.arg: argument.value for argument in node.keywords if argument.arg}, variables
        )
    if method.attr == "join" and len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):
        parts: list[Pieces] = []
        for index, argument in enumerate(node.args[0].elts):
            parts += [text] * bool(index) + [pieces_or_slot(argument, variables)]
        return join_pieces(parts)
    if method.attr == "replace" and len(node.args) == 2:
        old, new = pieces_of(node.args[0], variables), pieces_or_slot(node.args[1], variables)
        return _replace_pieces(text, old[0], new) if old and len(old) == 1 and isinstance(old[0], str) else None
    if method.attr in ("strip", "lstrip", "rstrip") and not node.args and len(text) == 1 and isinstance(text[0], str):
        return (getattr(text[0], method.attr)(),)
    return None


def _replace_pieces(text: Pieces, old: str, new: Pieces) -> Pieces:
    if not old:
        return text
    parts: list[Pieces] = []
    for piece in text:
        if isinstance(piece, Slot):
            parts.append((piece,))
            continue
        for index, words in enumerate(piece.split(old)):
            parts += [new] * bool(index) + [(words,)]
    return join_pieces(parts)


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


def _percent_pieces(
    text: Pieces, values: Mapping[str, ast.expr], field_: str, variables: Mapping[str, Pieces | None]
) -> Pieces:
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
            parts += [(piece[last : match.start()].replace("%%", "%"),), _value(values, name, variables)]
            last = match.end()
        parts.append((piece[last:].replace("%%", "%"),))
    return join_pieces(parts)


def _format_pieces(
    text: Pieces, values: Mapping[str, ast.expr], variables: Mapping[str, Pieces | None]
) -> Pieces | None:
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
                    parts.append(_value(values, name or str(count), variables))
                    count += not name
        except ValueError:
            return None
    return join_pieces(parts)


def _value(values: Mapping[str, ast.expr], name: str, variables: Mapping[str, Pieces | None]) -> Pieces:
    return pieces_or_slot(values[name], variables) if name in values else (Slot(name),)
