"""Finding plugins: entry points of installed packages, files and modules named by the user.

Entry points are loaded one at a time, so that a package that fails is listed as broken and the rest work.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from affectgpt.registry.catalog import Catalog, summary_of
from affectgpt.registry.errors import PluginError
from affectgpt.registry.spec import Origin

GROUP = "affectgpt.plugins"


def discover(refs: Sequence[str] = (), *, points: Iterable[EntryPoint] | None = None) -> Catalog:
    """A catalog of all installed plugins (entry-point group `affectgpt.plugins`) and those named by `refs`.

    `points` replaces the installed entry points, for tests. A broken or clashing installed package is
    recorded in the catalog; a broken `ref` raises PluginError, because somebody asked for it.
    """
    catalog = Catalog()
    found = entry_points(group=GROUP) if points is None else points
    for point in sorted(found, key=lambda each: (each.name != "builtin", each.name)):
        _take_entry_point(catalog, point)
    for ref in refs:
        load_ref(catalog, ref)
    return catalog


def load_ref(catalog: Catalog, ref: str, base: Path | None = None) -> None:
    """Add the plugins of a Python file (`./my_fuser.py`, relative to `base`) or of a module (`my.fusers`).

    Raises PluginError when it does not exist, cannot be imported, or declares nothing.
    """
    if ref.endswith(".py") or "/" in ref or "\\" in ref:
        path = ((base or Path()) / ref).resolve()
        module = _import_file(path, ref)
        catalog.add_module(module, Origin(str(path)))
        return
    try:
        module = importlib.import_module(ref)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin module {ref!r} cannot be imported",
            found=summary_of(error),
            expected="an importable module, or the path of a .py file",
            hint="check the name, or install its package",
        ) from error
    catalog.add_module(module, Origin.of_module(module.__name__))


def _import_file(path: Path, ref: str) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"there is no plugin file {ref!r}", where=str(path), expected="a Python file")
    # A stable name lets "module:Class" strings resolve, and keeps two files called fuser.py apart.
    name = f"affectgpt_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("a plugin file must be a Python file", where=str(path), expected="a name ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        line = _line_in(error, path)
        raise PluginError(
            "a plugin file cannot be imported",
            where=f"{path}{f':{line}' if line else ''}",
            found=summary_of(error),
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


def _take_entry_point(catalog: Catalog, point: EntryPoint, *, allow_torch: bool = False) -> None:
    origin = Origin(point.dist.name, point.dist.version) if point.dist else Origin(point.value)
    try:
        with _torch_allowed(allow_torch or "torch" in sys.modules):
            module = point.load()
        catalog.add_module(module, origin)
    except _TorchWanted:
        catalog.deferred[f"{origin} ({point.value})"] = lambda: _take_entry_point(catalog, point, allow_torch=True)
    except PluginError as error:
        found = error.problems[0].found
        catalog.report(point.name, origin, error.problems[0].what + (f" ({found})" if found else ""))
    except (Exception, SystemExit) as error:
        catalog.report(point.name, origin, summary_of(error))


class _TorchWanted(BaseException):
    """Raised out of a plugin's import when it reaches for torch; no `except Exception` may swallow it."""


class _TorchGuard:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torch":
            raise _TorchWanted


@contextmanager
def _torch_allowed(allowed: bool) -> Iterator[None]:
    """Listing plugins costs no torch: a package that imports it to declare itself is put off until needed."""
    guard = _TorchGuard()
    if not allowed:
        sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        if not allowed:
            sys.meta_path.remove(guard)
