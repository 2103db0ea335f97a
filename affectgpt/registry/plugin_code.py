"""The code that a plugin runs, as fingerprints: its source files, what they import, and the versions of packages."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from affectgpt.registry.errors import PluginError

PROJECT = __name__.partition(".")[0]
DIGEST = "__affectgpt_digest__"
"""The name under which a module that was loaded from a plugin file keeps the SHA-256 of what was run."""

_AS_READ_FIRST: dict[Path, str] = {}
"""SHA-256 of source files as they were when this process read them first."""


def code_of(*classes: type) -> dict[str, str]:
    """The fingerprints of the code of `classes`, by part: a file, a package or a distribution.

    A file or package has the SHA-256 of its sources, and what it imports are parts, too. Of an installed package that
    is imported the version counts; none of one that this project needs itself. Of this project the version counts
    where more than `affectgpt` itself is imported. Modules whose names are computed, and files of data, are not found.

    Raises PluginError when a class has no source file, as one in a notebook's cell, and when a file changed since this
    process imported it.
    """
    code: dict[str, str] = {}
    imports: list[str] = []
    for cls in classes:
        part, files = _source_of(cls)
        if part not in code:
            source = _distribution(part) if all(map(_is_installed, files)) else ""
            code[part] = f"{source} {_fingerprint(files, imports)}".strip()
    names_done = set(code)
    while imports:
        name = imports.pop()
        top = name.partition(".")[0]
        if top == PROJECT and name != PROJECT:
            code[PROJECT] = version(PROJECT)
        if top in names_done or top == PROJECT or top in sys.stdlib_module_names:
            continue
        names_done.add(top)
        files = _files_of_module(top)
        distribution = _distribution(top)
        if distribution and all(map(_is_installed, files)):
            if _plain(distribution.partition(" ")[0]) not in _needed_here():
                code[top] = distribution
        elif files:
            code[top] = _fingerprint(files, imports)
    return dict(sorted(code.items()))


def remember_sources(*classes: type) -> None:
    """Take the source files of classes that were just imported for what runs: a later change is told by [code_of][]."""
    with suppress(PluginError):
        code_of(*classes)


def _source_of(cls: type) -> tuple[str, list[Path]]:
    """The name of the part that holds a class, and its files."""
    module = sys.modules.get(cls.__module__)
    functions = [
        inspect.unwrap(value)
        for value in vars(cls).values()
        if inspect.isfunction(value) and value.__module__ == cls.__module__
    ]
    name = getattr(module, "__file__", None)
    if cls.__module__ == "__main__":
        # Of a notebook the file is the kernel's, and functions name their cells.
        sources = {os.path.abspath(function.__code__.co_filename) for function in functions}
        name = name if name is not None and os.path.abspath(name) in sources else None
    if name is None or not os.path.isfile(name):
        raise PluginError(
            "the source of this class cannot be read: a change of it would not be noticed",
            where=f"{cls.__module__}.{cls.__qualname__}",
            expected="a class of a file or a package",
            hint="move it into a .py file, or set feature_version in its config and raise it with every change",
        )
    file = Path(name)
    package = (getattr(module, "__package__", None) or "").partition(".")[0]
    files = _files_of_module(package) if package else []
    if file in files:
        return package, files
    namespaces = [function.__globals__ for function in functions] or [vars(module)]
    digest = namespaces[0].get(DIGEST)
    if digest is not None:
        # A plugin file that changed is run again, so what it was at first does not matter.
        _AS_READ_FIRST[file] = digest
    return file.name, [file]


def _fingerprint(files: list[Path], imports: list[str]) -> str:
    """The SHA-256 of files; adds what they import to `imports`. Raises PluginError for one that changed."""
    hasher = hashlib.sha256()
    folder = Path(os.path.commonpath([file.parent for file in files]))
    module_files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise PluginError(
                "a source file cannot be read", where=str(file), found=error.strerror or str(error)
            ) from None
        digest = hashlib.sha256(content).hexdigest()
        former = _AS_READ_FIRST.setdefault(file, digest)
        if former != digest and str(file) in module_files:
            raise PluginError(
                "this file changed since it was imported: what runs is not what stands there",
                where=str(file),
                hint="load a plugin file again (plugins=, --plugin); for another module, start Python anew",
            )
        _AS_READ_FIRST[file] = digest
        hasher.update(f"{file.relative_to(folder).as_posix()}\n{digest}\n".encode())
        if file.suffix in SOURCE_SUFFIXES:
            imports += _imports_in(content)
    return hasher.hexdigest()


def _imports_in(content: bytes) -> Iterator[str]:
    """The modules that a source names in import statements, wherever they stand; none where it cannot be parsed."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == PROJECT:
                modules = (f"{PROJECT}.{alias.name}" for alias in node.names)
                yield from (module for module in modules if module in sys.modules)


def _files_of_module(name: str) -> list[Path]:
    """The source files and extensions of a top-level module or package; none when there is no such module."""
    module = sys.modules.get(name)
    try:
        spec = getattr(module, "__spec__", None) or importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin and os.path.isfile(spec.origin) else []
    suffixes = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
    return sorted(
        Path(folder, file)
        for location in spec.submodule_search_locations
        for folder, _, names in os.walk(location)
        for file in names
        if file.endswith(suffixes)
    )


def _is_installed(file: Path) -> bool:
    return any(file.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = [*(paths[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")), *site.getsitepackages()]
    return tuple(map(Path, [*folders, site.getusersitepackages()]))


def _distribution(name: str) -> str:
    """Name and version of the distribution that brings a top-level module; "" when there is none."""
    for distribution in _distributions().get(name, ()):
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return ""


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def _needed_here() -> frozenset[str]:
    """The distributions that this project needs: other versions of them do not count for its own plugins either."""
    requirements = [requirement for requirement in requires(PROJECT) or () if "extra ==" not in requirement]
    return frozenset(_plain(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements)


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
