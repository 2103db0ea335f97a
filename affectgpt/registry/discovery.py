"""Finding plugins: entry points of installed packages, files and modules named by the user.

Entry points are loaded one at a time, so that a package that fails is listed as broken and the rest work.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import PluginError
from affectgpt.registry.messages import one_line
from affectgpt.registry.plugin_code import DIGEST
from affectgpt.registry.spec import Origin

GROUP = "affectgpt.plugins"


def discover(refs: Sequence[str] = (), *, points: Iterable[EntryPoint] | None = None) -> Catalog:
    """A catalog of all installed plugins (entry-point group `affectgpt.plugins`) and those named by `refs`.

    `points` replaces the installed entry points, for tests. A broken or clashing installed package is
    recorded in the catalog; a broken `ref` raises PluginError, because the caller named it.
    """
    catalog = Catalog()
    loaded = []
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=_builtin_first):
        origin = Origin(point.dist.name, point.dist.version) if point.dist else Origin(point.value)
        module = _load_entry_point(catalog, point, origin)
        if module is not None:
            loaded.append((point, origin, module))
    # Kinds first: a package may declare plugins of a kind that another package brings.
    for add in (catalog.add_kinds_of, catalog.add_module):
        for point, origin, module in loaded:
            _add_or_report(catalog, add, point, origin, module)
    for ref in refs:
        load_plugins_from(catalog, ref)
    return catalog


def _builtin_first(point: EntryPoint) -> tuple[bool, str]:
    return (point.name != "builtin", point.name)


def load_plugins_from(catalog: Catalog, ref: str, base: Path | None = None) -> None:
    """Add the plugins of a Python file (`./my_fuser.py`, relative to `base`) or of a module (`my.fusers`).

    A file whose content changed since it was loaded is run again. Raises PluginError when the file or module does not
    exist, cannot be imported, or declares nothing.
    """
    if ref.endswith(".py") or "/" in ref or "\\" in ref:
        try:
            path = ((base or Path()) / ref).resolve()
            exists = path.is_file()
        except (OSError, ValueError) as error:
            raise PluginError(f"the plugin file {ref!r} cannot be read", found=one_line(error)) from None
        if not exists:
            raise PluginError(f"there is no plugin file {ref!r}", where=str(path), expected="a Python file")
        module = _import_file(path)
        catalog.add_module(module, Origin(str(path)))
        return
    try:
        module = importlib.import_module(ref)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"plugin module {ref!r} cannot be imported",
            found=one_line(error),
            expected="an importable module, or the path of a .py file",
            hint="check the name, or install its package",
        ) from error
    catalog.add_module(module, Origin.of_module(module.__name__))


def _import_file(path: Path) -> ModuleType:
    # A stable name lets "module:Class" strings resolve, and keeps two files called fuser.py apart.
    name = f"affectgpt_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    former = sys.modules.get(name)
    if former is not None and getattr(former, DIGEST, "") == digest:
        return former
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("a plugin file must be a Python file", where=str(path), expected="a name ending in .py")
    module = importlib.util.module_from_spec(spec)
    setattr(module, DIGEST, digest)
    # Pipelines that were built from the former module keep its classes.
    sys.modules[name] = module
    try:
        # Not by the loader: its bytecode cache misses an edit within a second that keeps the file's size.
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if former is not None:
            sys.modules[name] = former
        if isinstance(error, KeyboardInterrupt):
            raise
        line = _line_in(error, path)
        raise PluginError(
            "a plugin file cannot be imported",
            where=f"{path}{f':{line}' if line else ''}",
            found=one_line(error),
            hint="run it with python to see the whole traceback",
        ) from error
    return module


def _line_in(error: BaseException, path: Path) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _load_entry_point(
    catalog: Catalog, point: EntryPoint, origin: Origin, *, allow_torch: bool = False
) -> ModuleType | None:
    """The module of an entry point. None when it is broken, or deferred because it imports torch."""
    try:
        with _defer_torch(allow_torch or "torch" in sys.modules):
            module: ModuleType = point.load()
        return module
    except _TorchImported:
        catalog.deferred[f"{origin} ({point.value})"] = lambda: _load_deferred(catalog, point, origin)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        catalog.report(point.name, origin, _cause(error))
    return None


def _load_deferred(catalog: Catalog, point: EntryPoint, origin: Origin) -> None:
    module = _load_entry_point(catalog, point, origin, allow_torch=True)
    if module is not None:
        _add_or_report(catalog, catalog.add_module, point, origin, module)


def _add_or_report(
    catalog: Catalog,
    add: Callable[[ModuleType, Origin], None],
    point: EntryPoint,
    origin: Origin,
    module: ModuleType,
) -> None:
    try:
        add(module, origin)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        catalog.report(point.name, origin, _cause(error))


def _cause(error: BaseException) -> str:
    if isinstance(error, PluginError):
        problem = error.problems[0]
        return problem.what + (f" ({problem.found})" if problem.found else "")
    return one_line(error)


class _TorchImported(BaseException):
    """Raised when a plugin package imports torch; no `except Exception` may swallow it."""


class _TorchGuard:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torch":
            raise _TorchImported


@contextmanager
def _defer_torch(allowed: bool) -> Iterator[None]:
    """Listing plugins costs no torch: a package that imports it to declare itself is loaded when it is needed."""
    guard = _TorchGuard()
    if not allowed:
        sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        if not allowed:
            sys.meta_path.remove(guard)
