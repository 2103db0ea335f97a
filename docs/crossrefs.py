"""Griffe extension: `[name][]` in docstrings becomes a link to the object of that name, or an error names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

logger = griffe.get_logger(__name__)
REFERENCE = re.compile(r"(?<!`)\[([A-Za-z_][\w.]*)\]\[([\w.]*)\](?!`)")


class CrossReferences(griffe.Extension):
    """Resolve the references of docstrings, in the scope of the object that each docstring documents."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Write full paths into the references of a loaded package; warn of those that lead nowhere."""
        index = build_index(pkg)
        for owner in walk(pkg):
            if owner.docstring is not None:
                owner.docstring.value = REFERENCE.sub(
                    lambda match, owner=owner: self._link(match, owner, index), owner.docstring.value
                )

    def _link(self, match: re.Match[str], owner: griffe.Object, index: dict[str, list[str]]) -> str:
        text, target = match.groups()
        path = find_path(target or text, owner, index)
        if path is None:
            logger.warning("%s: the docstring refers to `%s`, which is no object", owner.path, target or text)
            return f"`{text}`"
        if any(part.startswith("_") for part in path.split(".")):
            return f"`{text}`"
        return f"[`{text}`][{path}]"


def walk(owner: griffe.Object) -> Iterator[griffe.Object]:
    """An object and all objects inside it, without what is imported."""
    yield owner
    for member in owner.members.values():
        if not member.is_alias:
            yield from walk(member)  # type: ignore[arg-type]


def build_index(package: griffe.Object) -> dict[str, list[str]]:
    """Each name of a package, and `Class.member`, with the paths of the objects that have it."""
    index: dict[str, list[str]] = {}
    for item in walk(package):
        parts = item.path.split(".")
        for length in (1, 2, 3):
            index.setdefault(".".join(parts[-length:]), []).append(item.path)
    return index


def find_path(name: str, owner: griffe.Object, index: dict[str, list[str]]) -> str | None:
    """The path of the object that `name` means in the scope of `owner`, or the only object of that name, or None."""
    first, *more = name.split(".")
    scope: griffe.Object | None = owner
    while scope is not None:
        if first in scope.members:
            member = scope.members[first]
            path = ".".join([member.target_path if member.is_alias else member.path, *more])
            candidates = index.get(path.rpartition(".")[2], [])
            if path in candidates:
                return path
            aliased = [candidate for candidate in candidates if candidate.endswith(f".{name}")]
            return aliased[0] if aliased else None
        scope = scope.parent
    paths = index.get(name, [])
    if name.startswith("affectgpt."):
        public, _, member = name.removeprefix("affectgpt.").partition(".")
        exported = owner.package.members.get(public)
        if exported is not None and exported.is_alias and (not member or f"{public}.{member}" in index):
            return name
        return name if name in index.get(name.rpartition(".")[2], []) else None
    return paths[0] if len(set(paths)) == 1 else None
