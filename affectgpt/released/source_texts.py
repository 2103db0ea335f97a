"""The texts that a Python source file builds, from its syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from affectgpt.released.source_pieces import Pieces, Slot, is_short, join_pieces, pieces_of, pieces_or_slot

MOST_NAMES = 64
"""Most texts of one condition."""
_CONTROL = (ast.If, ast.For, ast.While, ast.With, ast.Try)


@dataclass(frozen=True)
class SourceText:
    """A text of the source: its pieces, its line, and its context.

    `names` describe it, the nearest last: its class and function, and the texts that conditions around it compare
    with. `role` is the key or variable that holds it; `before` is the earlier text of that variable, if this one
    extends it.
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
    variables: ChainMap[str, Pieces | None] = field(default_factory=ChainMap)

    def inside(self, name: str, names: tuple[str, ...], hidden: Iterable[str] = ()) -> _Scope:
        """A nested scope that shares the variables of this one, except the `hidden` names."""
        return _Scope(name, names, self.variables.new_child(dict.fromkeys(hidden)))


def texts_of(tree: ast.Module, constants: Mapping[str, str]) -> Iterator[SourceText]:
    """Every text that the statements of `tree` assign, return or put under a key; `constants` are known names."""
    variables: dict[str, Pieces | None] = {name: (text,) for name, text in constants.items()}
    yield from _block(tree.body, _Scope("", (), ChainMap(variables)))


def constants_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that the module, or a class in it, sets to a plain text."""
    for body in (tree.body, *(each.body for each in tree.body if isinstance(each, ast.ClassDef))):
        for node in body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                        yield target.id, node.value.value


def _block(body: list[ast.stmt], scope: _Scope) -> Iterator[SourceText]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{scope.name}.{node.name}" if scope.name else node.name
            argument_names = {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
            yield from _block(node.body, scope.inside(name, (*scope.names, node.name), argument_names))
        elif isinstance(node, _CONTROL):
            yield from _control_body(node, scope)
        elif isinstance(node, ast.Match):
            yield from _branches([(case.body, _constants_in(case.pattern)) for case in node.cases], scope)
        else:
            yield from _statement(node, scope)


def _control_body(node: ast.stmt, scope: _Scope) -> Iterator[SourceText]:
    compared = _constants_in(node.test) if isinstance(node, ast.If) else ()
    handlers = [handler.body for handler in getattr(node, "handlers", [])]
    other_bodies = (getattr(node, "orelse", []), getattr(node, "finalbody", []), *handlers)
    yield from _branches([(getattr(node, "body", []), compared), *((body, ()) for body in other_bodies)], scope)


def _branches(bodies: Iterable[tuple[list[ast.stmt], tuple[str, ...]]], scope: _Scope) -> Iterator[SourceText]:
    """The texts of blocks of which any may run or not, each with what its condition says."""
    changed: set[str] = set()
    for body, compared in bodies:
        block_scope = scope.inside(scope.name, (*scope.names, *compared))
        yield from _block(body, block_scope)
        if body and not isinstance(body[-1], ast.Return | ast.Raise):
            set_there = block_scope.variables.maps[0].items()
            changed |= {name for name, pieces in set_there if scope.variables.get(name) not in (None, pieces)}
    # Only a running program knows which text such a name holds from here on: neither may be taken for it.
    scope.variables.update({name: (Slot(name, missing=True),) for name in changed})


def _constants_in(test: ast.AST) -> tuple[str, ...]:
    constants = (child.value for child in ast.walk(test) if isinstance(child, ast.Constant))
    return tuple(islice((child for child in constants if isinstance(child, str)), MOST_NAMES))


def _statement(node: ast.stmt, scope: _Scope) -> Iterator[SourceText]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        name = targets[0].id if isinstance(targets[0], ast.Name) else _key(targets[0])
        pieces = pieces_of(node.value, scope.variables)
        if pieces is not None:
            before = None
            if isinstance(targets[0], ast.Name):
                before = scope.variables.get(name) if _uses_name(node.value, name) else None
                # `x = x + "more"`: what x held is a part of the text, not a value in it.
                pieces = (Slot(name, missing=True), *pieces[1:]) if pieces[:1] == (Slot(name),) else pieces
                scope.variables[name] = pieces
            yield SourceText(pieces, node.lineno, scope.name, (*scope.names, *_key_names(targets[0])), name, before)
        else:
            if isinstance(targets[0], ast.Name):
                scope.variables[name] = None
            yield from _parts(node.value, scope, name)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and isinstance(node.op, ast.Add):
        name, more = node.target.id, pieces_or_slot(node.value, scope.variables)
        before = scope.variables.get(name)
        pieces = join_pieces([(Slot(name, missing=True),) if before is None else before, more])
        scope.variables[name] = pieces
        yield SourceText(pieces, node.lineno, scope.name, scope.names, name, before)
    elif isinstance(node, ast.Return) and node.value is not None:
        pieces = pieces_of(node.value, scope.variables)
        if pieces is not None:
            yield SourceText(pieces, node.lineno, scope.name, scope.names, "return")
        else:
            yield from _parts(node.value, scope, "return")
    elif isinstance(node, ast.Expr):
        yield from _parts(node.value, scope, "")


def _uses_name(node: ast.expr, name: str) -> bool:
    return any(isinstance(child, ast.Name) and child.id == name for child in ast.walk(node))


def _key(target: ast.AST) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value) if is_short(target.slice.value) else ""
    return target.attr if isinstance(target, ast.Attribute) else ""


def _key_names(target: ast.AST) -> tuple[str, ...]:
    return (_key(target),) if isinstance(target, ast.Subscript) else ()


def _parts(node: ast.expr, scope: _Scope, role: str) -> Iterator[SourceText]:
    """The texts inside an expression that is no text itself: under the keys of a dict, in a tuple, in a call."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
            yield from _part(value, _Scope(scope.name, (*scope.names, name), scope.variables), name)
    elif isinstance(node, ast.Tuple | ast.List):
        for index, value in enumerate(node.elts):
            yield from _part(value, scope, f"{role}[{index}]")
    elif isinstance(node, ast.IfExp):
        yield from _part(
            node.body, _Scope(scope.name, (*scope.names, *_constants_in(node.test)), scope.variables), role
        )
        yield from _part(node.orelse, scope, role)
    elif isinstance(node, ast.Call):
        for word in node.keywords:
            yield from _part(word.value, scope, word.arg or "")
        for value in node.args:
            yield from _part(value, scope, "")


def _part(node: ast.expr, scope: _Scope, role: str) -> Iterator[SourceText]:
    pieces = pieces_of(node, scope.variables)
    if pieces is not None:
        yield SourceText(pieces, node.lineno, scope.name, scope.names, role)
    else:
        yield from _parts(node, scope, role)
