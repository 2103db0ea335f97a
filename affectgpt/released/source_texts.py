"""The texts that a Python source file builds, read off its syntax tree: nothing is imported or run."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from affectgpt.released.source_pieces import Pieces, Slot, is_short, joined, or_slot, pieces_of

MOST_NAMES = 64
"""Texts of one condition that are kept."""
_CONTROL = (ast.If, ast.For, ast.While, ast.With, ast.Try)


@dataclass(frozen=True)
class Found:
    """A text of the source: its pieces, its line, and what leads there.

    `names` are what is said about it, the nearest last: the class and function that it stands in, the texts that a
    condition on the way compares with, and the key or variable that holds it (`role`). `before` is what that variable
    held, where this text goes on from it.
    """

    pieces: Pieces
    line: int
    scope: str
    names: tuple[str, ...]
    role: str
    before: Pieces | None = None


@dataclass
class _Scope:
    name: str
    names: tuple[str, ...]
    known: ChainMap[str, Pieces | None] = field(default_factory=ChainMap)

    def inside(self, name: str, names: tuple[str, ...], hidden: Iterable[str] = ()) -> _Scope:
        """A scope in this one, which sees what is known here without a copy of it; `hidden` names are not known."""
        return _Scope(name, names, self.known.new_child(dict.fromkeys(hidden)))


def texts_of(tree: ast.Module, constants: Mapping[str, str]) -> Iterator[Found]:
    """Every text that the statements of `tree` assign, return or put under a key; `constants` are known names."""
    known: dict[str, Pieces | None] = {name: (text,) for name, text in constants.items()}
    yield from _block(tree.body, _Scope("", (), ChainMap(known)))


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
            yield from _block(node.body, scope.inside(name, (*scope.names, node.name), given))
        elif isinstance(node, _CONTROL):
            yield from _inside(node, scope)
        elif isinstance(node, ast.Match):
            yield from _branches([(case.body, _said(case.pattern)) for case in node.cases], scope)
        else:
            yield from _statement(node, scope)


def _inside(node: ast.stmt, scope: _Scope) -> Iterator[Found]:
    said = _said(node.test) if isinstance(node, ast.If) else ()
    handlers = [handler.body for handler in getattr(node, "handlers", [])]
    others = (getattr(node, "orelse", []), getattr(node, "finalbody", []), *handlers)
    yield from _branches([(getattr(node, "body", []), said), *((body, ()) for body in others)], scope)


def _branches(bodies: Iterable[tuple[list[ast.stmt], tuple[str, ...]]], scope: _Scope) -> Iterator[Found]:
    """The texts of blocks of which any may run or not, each with what its condition says."""
    changed: set[str] = set()
    for body, said in bodies:
        inside = scope.inside(scope.name, (*scope.names, *said))
        yield from _block(body, inside)
        if body and not isinstance(body[-1], ast.Return | ast.Raise):
            set_there = inside.known.maps[0].items()
            changed |= {name for name, pieces in set_there if scope.known.get(name) not in (None, pieces)}
    # Only a running program knows which text such a name holds from here on: neither may be taken for it.
    scope.known.update({name: (Slot(name, missing=True),) for name in changed})


def _said(test: ast.AST) -> tuple[str, ...]:
    found = (each.value for each in ast.walk(test) if isinstance(each, ast.Constant))
    return tuple(islice((each for each in found if isinstance(each, str)), MOST_NAMES))


def _statement(node: ast.stmt, scope: _Scope) -> Iterator[Found]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        name = targets[0].id if isinstance(targets[0], ast.Name) else _key(targets[0])
        pieces = pieces_of(node.value, scope.known)
        if pieces is not None:
            before = None
            if isinstance(targets[0], ast.Name):
                before = scope.known.get(name) if _holds(node.value, name) else None
                # `x = x + "more"`: what x held is a part of the text, not a value in it.
                pieces = (Slot(name, missing=True), *pieces[1:]) if pieces[:1] == (Slot(name),) else pieces
                scope.known[name] = pieces
            yield Found(pieces, node.lineno, scope.name, (*scope.names, *_key_names(targets[0])), name, before)
        else:
            if isinstance(targets[0], ast.Name):
                scope.known[name] = None
            yield from _parts(node.value, scope, name)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and isinstance(node.op, ast.Add):
        name, more = node.target.id, or_slot(node.value, scope.known)
        before = scope.known.get(name)
        pieces = joined([(Slot(name, missing=True),) if before is None else before, more])
        scope.known[name] = pieces
        yield Found(pieces, node.lineno, scope.name, scope.names, name, before)
    elif isinstance(node, ast.Return) and node.value is not None:
        pieces = pieces_of(node.value, scope.known)
        if pieces is not None:
            yield Found(pieces, node.lineno, scope.name, scope.names, "return")
        else:
            yield from _parts(node.value, scope, "return")
    elif isinstance(node, ast.Expr):
        yield from _parts(node.value, scope, "")


def _holds(node: ast.expr, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def _key(target: ast.AST) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value) if is_short(target.slice.value) else ""
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
