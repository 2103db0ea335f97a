"""The texts that a Python source file builds, read off its syntax tree: nothing is imported or run.

A text is a list of pieces: words, and slots for values that are known only when the program runs.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice


@dataclass(frozen=True)
class Slot:
    """A value that is not known: the names that stand there."""

    name: str


Pieces = tuple["str | Slot", ...]
LONGEST = 20_000
"""Characters of the longest text that is followed."""
_CONTROL = (ast.If, ast.For, ast.While, ast.With, ast.Try)


@dataclass(frozen=True)
class Found:
    """A text of the source: its pieces, its line, and what leads there.

    `names` are what is said about it, the nearest last: the class and function that it stands in, the texts that a
    condition on the way compares with, and the key or variable that holds it (`role`).
    """

    pieces: Pieces
    line: int
    scope: str
    names: tuple[str, ...]
    role: str


@dataclass
class _Scope:
    name: str
    names: tuple[str, ...]
    known: dict[str, Pieces] = field(default_factory=dict)


def texts_of(tree: ast.Module, constants: Mapping[str, str]) -> Iterator[Found]:
    """Every text that the statements of `tree` assign, return or put under a key; `constants` are known names."""
    known: dict[str, Pieces] = {name: (text,) for name, text in constants.items()}
    yield from _block(tree.body, _Scope("", (), known))


def constants_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that the module, or a class in it, sets to a plain text."""
    for body in (tree.body, *(each.body for each in tree.body if isinstance(each, ast.ClassDef))):
        for node in body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                        yield target.id, node.value.value


def _block(body: list[ast.stmt], scope: _Scope) -> Iterator[Found]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{scope.name}.{node.name}" if scope.name else node.name
            given = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
            known = {each: pieces for each, pieces in scope.known.items() if each not in given}
            yield from _block(node.body, _Scope(name, (*scope.names, node.name), known))
        elif isinstance(node, _CONTROL):
            yield from _inside(node, scope)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                names = (*scope.names, *_said(case.pattern))
                yield from _block(case.body, _Scope(scope.name, names, dict(scope.known)))
        else:
            yield from _statement(node, scope)


def _inside(node: ast.stmt, scope: _Scope) -> Iterator[Found]:
    said = _said(node.test) if isinstance(node, ast.If) else ()
    handlers = [handler.body for handler in getattr(node, "handlers", [])]
    for body in (getattr(node, "body", []), getattr(node, "orelse", []), getattr(node, "finalbody", []), *handlers):
        names = (*scope.names, *(said if body is getattr(node, "body", None) else ()))
        yield from _block(body, _Scope(scope.name, names, dict(scope.known)))


def _said(test: ast.AST) -> tuple[str, ...]:
    found = (each.value for each in ast.walk(test) if isinstance(each, ast.Constant))
    return tuple(each for each in found if isinstance(each, str))


def _statement(node: ast.stmt, scope: _Scope) -> Iterator[Found]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        name = targets[0].id if isinstance(targets[0], ast.Name) else _key(targets[0])
        pieces = pieces_of(node.value, scope.known)
        if pieces is not None:
            if isinstance(targets[0], ast.Name):
                scope.known[name] = pieces
            yield Found(pieces, node.lineno, scope.name, (*scope.names, *_key_names(targets[0])), name)
        else:
            if isinstance(targets[0], ast.Name):
                scope.known.pop(name, None)
            yield from _parts(node.value, scope, name)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and isinstance(node.op, ast.Add):
        name, more = node.target.id, _or_slot(node.value, scope.known)
        pieces = joined([scope.known.get(name, (Slot(name),)), more])
        scope.known[name] = pieces
        yield Found(pieces, node.lineno, scope.name, scope.names, name)
    elif isinstance(node, ast.Return) and node.value is not None:
        pieces = pieces_of(node.value, scope.known)
        if pieces is not None:
            yield Found(pieces, node.lineno, scope.name, scope.names, "return")
        else:
            yield from _parts(node.value, scope, "return")
    elif isinstance(node, ast.Expr):
        yield from _parts(node.value, scope, "")


def _key(target: ast.AST) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return target.attr if isinstance(target, ast.Attribute) else ""


def _key_names(target: ast.AST) -> tuple[str, ...]:
    return (_key(target),) if isinstance(target, ast.Subscript) else ()


def _parts(node: ast.expr, scope: _Scope, role: str) -> Iterator[Found]:
    """The texts inside an expression that is no text itself: under the keys of a dict, in a tuple, in a call."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
            yield from _part(value, _Scope(scope.name, (*scope.names, name), scope.known), name)
    elif isinstance(node, ast.Tuple | ast.List):
        for index, value in enumerate(node.elts):
            yield from _part(value, scope, f"{role}[{index}]")
    elif isinstance(node, ast.IfExp):
        yield from _part(node.body, _Scope(scope.name, (*scope.names, *_said(node.test)), scope.known), role)
        yield from _part(node.orelse, scope, role)
    elif isinstance(node, ast.Call):
        for word in node.keywords:
            yield from _part(word.value, scope, word.arg or "")
        for value in node.args:
            yield from _part(value, scope, "")


def _part(node: ast.expr, scope: _Scope, role: str) -> Iterator[Found]:
    pieces = pieces_of(node, scope.known)
    if pieces is not None:
        yield Found(pieces, node.lineno, scope.name, scope.names, role)
    else:
        yield from _parts(node, scope, role)


def pieces_of(node: ast.expr, known: Mapping[str, Pieces]) -> Pieces | None:
    """The pieces of an expression, or None when it is not seen to be a text."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        return known.get(node.attr) if node.attr.isupper() else None
    if isinstance(node, ast.JoinedStr):
        return joined(
            [*each] for each in (
                pieces_of(part, known) if isinstance(part, ast.Constant) else _or_slot(part.value, known)
                for part in node.values if isinstance(part, ast.Constant | ast.FormattedValue)
            ) if each
        )  # fmt: skip
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
    """The pieces of all `parts`, words next to each other made one; a text too long to be a prompt is one slot."""
    found: list[str | Slot] = []
    length = 0
    for part in parts:
        for piece in part:
            length += len(piece) if isinstance(piece, str) else 1
            if length > LONGEST:
                return (Slot("a long text"),)
            last = found[-1] if found else None
            if isinstance(piece, str) and isinstance(last, str):
                found[-1] = last + piece
            elif piece != "":
                found.append(piece)
    return tuple(found)


def _or_slot(node: ast.expr, known: Mapping[str, Pieces]) -> Pieces:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return (str(node.value),)
    pieces = pieces_of(node, known)
    return _slot(node) if pieces is None else pieces


def _slot(node: ast.expr) -> Pieces:
    """A slot named after what stands first in the expression."""
    said = []
    for each in islice(ast.walk(node), 12):
        part = getattr(each, "id", None) or getattr(each, "attr", None) or getattr(each, "value", None)
        said.append(part if isinstance(part, str) else "")
    return (Slot(" ".join(filter(None, said))),)


def _called(node: ast.Call, method: ast.Attribute, known: Mapping[str, Pieces]) -> Pieces | None:
    text = pieces_of(method.value, known)
    if text is None:
        return None
    if method.attr in ("format", "format_map"):
        values: dict[str, ast.expr] = {str(index): each for index, each in enumerate(node.args)}
        return _formatted(text, values | {each.arg: each.value for each in node.keywords if each.arg}, known)
    if method.attr == "join" and len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):
        parts: list[Pieces] = []
        for index, each in enumerate(node.args[0].elts):
            parts += [text] * bool(index) + [_or_slot(each, known)]
        return joined(parts)
    if method.attr == "replace" and len(node.args) == 2:
        old, new = pieces_of(node.args[0], known), _or_slot(node.args[1], known)
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
            key.value: value for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }  # fmt: skip
    return {"0": node}


def _filled(text: Pieces, values: Mapping[str, ast.expr], field_: str, known: Mapping[str, Pieces]) -> Pieces:
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


def _formatted(text: Pieces, values: Mapping[str, ast.expr], known: Mapping[str, Pieces]) -> Pieces | None:
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


def _value(values: Mapping[str, ast.expr], name: str, known: Mapping[str, Pieces]) -> Pieces:
    return _or_slot(values[name], known) if name in values else (Slot(name),)
