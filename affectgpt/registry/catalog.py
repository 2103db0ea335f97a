"""The [Catalog][]: the plugins that a command can use. An object that is passed on, never a global."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy
from pydantic import ValidationError

from affectgpt.registry import hooks
from affectgpt.registry.errors import AffectGPTError, PluginError, listed
from affectgpt.registry.spec import API_VERSION, MARK, Kind, Origin, PluginSpec
from affectgpt.registry.suggest import did_you_mean


@dataclass(frozen=True)
class Entry:
    """A plugin that is known, and where it came from."""

    spec: PluginSpec
    origin: Origin


@dataclass(frozen=True)
class Broken:
    """A plugin or plugin package that could not be taken in, and why."""

    name: str
    origin: Origin
    cause: str


class Catalog:
    """Plugins by kind and name, with their origins; what is broken is kept beside them, with its cause.

    Build one with `affectgpt.registry.discovery.discover()`, or empty for tests: `Catalog()`.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[Kind, str], Entry] = {}
        self.broken: list[Broken] = []
        self.deferred: dict[str, Callable[[], None]] = {}
        self.conflicts: dict[tuple[Kind, str], tuple[Entry, ...]] = {}
        self.hooks = pluggy.PluginManager(hooks.PROJECT)
        self.hooks.add_hookspecs(hooks)

    # -- filling

    def add(self, plugin: PluginSpec | type, origin: Origin | None = None) -> None:
        """Take in one spec, or one class marked by a decorator; `origin` is by default that of the target's module.

        Raises PluginError when the name is taken by another plugin or the plugin was written for another
        version of the contracts. Adding the same plugin from the same origin again changes nothing.
        """
        spec = plugin if isinstance(plugin, PluginSpec) else getattr(plugin, MARK, None)
        if not isinstance(spec, PluginSpec):
            raise PluginError(
                f"{plugin!r} is not a plugin",
                where=str(origin or ""),
                expected="a PluginSpec or a class marked with @encoder, @fuser, @llm or @extractor",
            )
        if origin is None:
            origin = Origin.of_module(spec.target.split(":")[0])
        if spec.api_version != API_VERSION:
            raise PluginError(
                f"{spec.kind} {spec.name!r} was written for another version of the plugin contracts",
                where=str(origin),
                found=f"api_version {spec.api_version}",
                expected=f"api_version {API_VERSION}",
                hint=f"install a version of {origin.source} that fits this one",
            )
        entry, key = Entry(spec, origin), (spec.kind, spec.name)
        known = self.entries.get(key)
        if known == entry:
            return
        if known is not None or key in self.conflicts:
            others = self.conflicts.get(key, (known,) if known else ())
            self.conflicts[key] = (*others, entry)
            raise PluginError(
                f"two plugins are named {spec.kind} {spec.name!r}",
                found=" and ".join(f"{other.spec.target} from {other.origin}" for other in self.conflicts[key]),
                hint="uninstall one of them, or rename one",
            )
        self.entries[key] = entry

    def add_module(self, module: ModuleType | type, origin: Origin) -> None:
        """Take in a module: its hook implementations and its marked classes. All of it or nothing.

        Raises PluginError when a hook is misspelt or fails, when a name is taken, or when there is nothing
        in the module to take in.
        """
        if isinstance(module, type):
            self.add(module, origin)
            return
        name = f"{module.__name__} ({origin})"
        if self.hooks.get_plugin(name) is not None:
            return
        marked = [value for value in vars(module).values() if _is_marked(value, module)]
        try:
            self.hooks.register(module, name)
            callers = self.hooks.get_hookcallers(module) or []
            self._refuse_unknown_hooks(callers, module, origin)
            specs: list[PluginSpec | type] = [*marked]
            declare = getattr(module, "affectgpt_plugins", None)
            if any(caller.name == "affectgpt_plugins" for caller in callers) and declare is not None:
                specs += _declared(declare, module, origin)
            if not specs and not callers:
                raise PluginError(
                    f"module {module.__name__!r} declares no plugin",
                    where=str(origin),
                    expected="a class marked with @encoder, @fuser, @llm or @extractor, or a function marked with"
                    " @hookimpl",
                )
            before = dict(self.entries)
            try:
                for spec in specs:
                    self.add(spec, origin)
            except PluginError:
                self.entries = before
                raise
        except pluggy.PluginValidationError as error:
            self._forget(name)
            raise PluginError(
                f"a hook of {module.__name__!r} has the wrong arguments", where=str(origin), found=str(error)
            ) from error
        except PluginError:
            self._forget(name)
            raise

    def _forget(self, name: str) -> None:
        if self.hooks.get_plugin(name) is not None:
            self.hooks.unregister(name=name)

    def _refuse_unknown_hooks(self, callers: Iterable[pluggy.HookCaller], module: ModuleType, origin: Origin) -> None:
        known = [name for name in vars(hooks) if name.startswith("affectgpt_")]
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(
                    f"module {module.__name__!r} implements a hook that does not exist",
                    where=str(origin),
                    found=caller.name,
                    expected=f"one of {listed(known)}",
                    hint=did_you_mean(caller.name, known),
                )

    def report(self, name: str, origin: Origin, cause: str) -> None:
        """Keep a plugin that could not be taken in, for listings and for the messages of [get][]."""
        self.broken.append(Broken(name, origin, cause))

    # -- asking

    def call_each(self, hook: str, **arguments: Any) -> list[Broken]:
        """Call every implementation of a hook; one that fails is reported as broken and the rest are called.

        Returns those that failed in this call.
        """
        known = len(self.broken)
        for implementation in getattr(self.hooks.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (Exception, SystemExit) as error:
                self.report(hook, Origin(implementation.plugin_name), summary_of(error))
        return self.broken[known:]

    def names(self, kind: Kind) -> list[str]:
        """The names of the usable plugins of a kind, sorted."""
        return sorted(name for each, name in self.entries if each == kind)

    def get(self, kind: Kind, name: str) -> Entry:
        """The plugin `name`. Raises PluginError with the nearest names, all names, and what is broken."""
        key = (kind, name)
        if key not in self.entries:
            self.load_deferred()
        if key in self.conflicts:
            origins = " and ".join(f"{entry.spec.target} from {entry.origin}" for entry in self.conflicts[key])
            raise PluginError(f"two plugins are named {kind} {name!r}", found=origins, hint="uninstall one of them")
        if key in self.entries:
            return self.entries[key]
        known = self.names(kind)
        elsewhere = [other for other, each in self.entries if each == name]
        hint = did_you_mean(name, known) or (f"{name!r} is a plugin of kind {elsewhere[0]}" if elsewhere else "")
        failed = "; ".join(f"{broken.name} from {broken.origin}: {broken.cause}" for broken in self.broken)
        raise PluginError(
            f"there is no {kind} plugin {name!r}",
            found=repr(name),
            expected=f"one of {listed(known)}",
            hint="; ".join(part for part in (hint, f"these failed to load: {failed}" if failed else "") if part),
        )

    def load_deferred(self) -> None:
        """Import the packages that were put off because declaring their plugins imports torch."""
        while self.deferred:
            _, load = self.deferred.popitem()
            load()

    def config_class(self, entry: Entry) -> Any:
        """The plugin's config class (torch-free for the plugins of this project)."""
        return self._resolve(entry, entry.spec.config, "config")

    def target_class(self, entry: Entry) -> Any:
        """The plugin's module class; importing it usually imports torch."""
        return self._resolve(entry, entry.spec.target, "target")

    def _resolve(self, entry: Entry, path: str, role: str) -> Any:
        spec, (module_name, attribute) = entry.spec, path.split(":")
        where = f"{spec.kind} {spec.name!r} from {entry.origin}"
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            missing = error.name or str(error)
            wanted = " ".join(repr(need) for need in spec.requires) or repr(missing)
            raise PluginError(
                f"the {role} of a plugin needs a package that is not installed",
                where=where,
                found=f"no module named {missing!r} ({path})",
                hint=f"pip install {wanted}",
            ) from error
        except AffectGPTError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"the {role} of a plugin cannot be imported",
                where=where,
                found=f"{path}: {summary_of(error)}",
                hint=f"mend {module_name!r}, or choose another plugin",
            ) from error


def summary_of(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _is_marked(value: object, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__ and MARK in vars(value)


def _declared(declare: Callable[[], Iterable[PluginSpec]], module: ModuleType, origin: Origin) -> list[PluginSpec]:
    try:
        specs = list(declare())
    except ValidationError as error:
        wrong = error.errors()[0]
        raise PluginError(
            f"module {module.__name__!r} declares a malformed plugin",
            where=str(origin),
            found=f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}",
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"affectgpt_plugins() of {module.__name__!r} failed", where=str(origin), found=summary_of(error)
        ) from error
    return specs
