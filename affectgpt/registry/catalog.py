"""The [Catalog][]: the plugins and kinds of plugins that can be used. An object, never a global."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from types import ModuleType
from weakref import WeakValueDictionary

import pluggy
from pydantic import BaseModel

from affectgpt.registry import hooks
from affectgpt.registry.catalog_table import catalog_html, catalog_text
from affectgpt.registry.declaration import call_declaration
from affectgpt.registry.entry import BrokenPlugin, PluginEntry
from affectgpt.registry.errors import PluginError, join_names
from affectgpt.registry.kinds import PluginKind
from affectgpt.registry.messages import did_you_mean, one_line
from affectgpt.registry.spec import KIND_ATTRIBUTE, SPEC_ATTRIBUTE, SUPPORTED, Kind, Origin, PluginSpec

# For the warning about a class that is defined again; every call of a public function builds a catalog of its own.
_LATEST_CLASSES: WeakValueDictionary[tuple[Kind, str, str, Origin], type] = WeakValueDictionary()


class Catalog:
    """Plugins by kind and name, with their origins, and the kinds; `broken` lists what could not be taken in.

    Build one with `affectgpt.discover()`. `Catalog(kinds)` has no plugin yet and knows the given kinds only; a class
    marked by a decorator brings its kind along.
    """

    def __init__(self, kinds: Iterable[PluginKind] = ()) -> None:
        self.kinds: dict[Kind, PluginKind] = {kind.name: kind for kind in kinds}
        self.entries: dict[tuple[Kind, str], PluginEntry] = {}
        self.broken: list[BrokenPlugin] = []
        self.deferred: dict[str, Callable[[], None]] = {}
        self.conflicts: dict[tuple[Kind, str], tuple[PluginEntry, ...]] = {}
        self.hooks = pluggy.PluginManager(hooks.PROJECT)
        self.hooks.add_hookspecs(hooks)

    # -- filling

    def add_kind(self, kind: PluginKind, origin: Origin | None = None) -> None:
        """Take in a kind of plugin. The same kind again changes nothing.

        Raises PluginError when there is another kind of this name.
        """
        current = self.kinds.setdefault(kind.name, kind)
        if current.config != kind.config:
            raise PluginError(
                f"two kinds of plugins are named {kind.name!r}",
                where=str(origin or ""),
                found=f"one with configs of {current.config}, one with configs of {kind.config}",
                hint="rename one of them",
            )
        self.kinds[kind.name] = kind

    def add(self, plugin: PluginSpec | type, origin: Origin | None = None) -> None:
        """Take in one spec, or one class marked by a decorator; `origin` is by default the source of its module.

        The same plugin from the same origin again replaces the former one, as when a notebook cell or an edited file
        runs again; one UserWarning says so if it is another class or another declaration. Raises PluginError when
        another plugin has the name, when the kind is unknown, and when the plugin was written for a version of the
        contracts that is not supported.
        """
        # A class that only inherits a mark would be taken for the marked one.
        spec = plugin if isinstance(plugin, PluginSpec) else getattr(plugin, "__dict__", {}).get(SPEC_ATTRIBUTE)
        if not isinstance(spec, PluginSpec):
            inherited = getattr(plugin, SPEC_ATTRIBUTE, None)
            raise PluginError(
                f"{plugin!r} is not a plugin",
                where=str(origin or ""),
                expected=f"a PluginSpec or {self._marked_class()}",
                hint=f"mark it with a name of its own: it inherits from {inherited.kind} {inherited.name!r}"
                if isinstance(inherited, PluginSpec)
                else "",
            )
        origin = origin or Origin.of_module(spec.target.split(":")[0])
        if isinstance(plugin, type) and (kind := getattr(plugin, KIND_ATTRIBUTE, None)) is not None:
            self.add_kind(kind, origin)
        self._check_spec(spec, origin)
        entry, key = PluginEntry(spec, origin), (spec.kind, spec.name)
        current = self.entries.get(key)
        if current is not None and (current.spec.target, current.origin) != (spec.target, origin):
            self.conflicts[key] = (*self.conflicts.get(key, (current,)), entry)
        elif key in self.conflicts:
            self.conflicts[key] = (*self.conflicts[key], entry)
        if key in self.conflicts:
            raise PluginError(
                f"two plugins are named {spec.kind} {spec.name!r}",
                found=" and ".join(f"{other.spec.target} from {other.origin}" for other in self.conflicts[key]),
                hint="uninstall one of them, or rename one",
            )
        former = _LATEST_CLASSES.get((*key, spec.target, origin))
        another_class = isinstance(plugin, type) and former is not None and former is not plugin
        if another_class or (current is not None and current != entry):
            warnings.warn(
                f"{spec.kind} {spec.name!r} is defined again: the new definition is used from now on", stacklevel=2
            )
        self.entries[key] = entry
        if isinstance(plugin, type):
            definition = (*key, spec.target, origin)
            _LATEST_CLASSES[definition] = plugin

    def _check_spec(self, spec: PluginSpec, origin: Origin) -> None:
        if spec.api_version not in SUPPORTED:
            is_newer = spec.api_version > max(SUPPORTED)
            raise PluginError(
                f"{spec.kind} {spec.name!r} was written for {'a newer' if is_newer else 'an older'} affectgpt",
                where=str(origin),
                found=f"api_version {spec.api_version}",
                expected=f"api_version {' or '.join(map(str, SUPPORTED))}",
                hint="upgrade affectgpt" if is_newer else f"upgrade {origin.source}",
            )
        if spec.kind not in self.kinds:
            raise PluginError(
                f"there is no plugin kind {spec.kind!r}",
                where=f"plugin {spec.name!r} from {origin}",
                expected=f"one of {join_names(self.kinds)}",
                hint=did_you_mean(spec.kind, self.kinds) or "load the package that brings the kind, too",
            )

    def _marked_class(self) -> str:
        decorators = [f"@{name}" for name in self.kinds]
        return f"a class marked with {' or '.join(decorators)}" if decorators else "a class marked by a decorator"

    def add_module(self, module: ModuleType | type, origin: Origin) -> None:
        """Take in a module: its kinds, its hook implementations and its marked classes. All of it or nothing.

        A module that was run again replaces what it declared before. Raises PluginError when a hook is misspelt or
        fails, when a name is taken, or when there is nothing in the module to take in.
        """
        if isinstance(module, type):
            self.add(module, origin)
            return
        name = f"{module.__name__} ({origin})"
        former = self.hooks.get_plugin(name)
        if former is module:
            return
        before = (dict(self.kinds), dict(self.entries))
        self._forget(name)
        try:
            self.hooks.register(module, name)
            self._add_declarations(module, origin)
        except (pluggy.PluginValidationError, PluginError) as error:
            self._forget(name)
            self.kinds, self.entries = before
            if former is not None:
                self.hooks.register(former, name)
            if isinstance(error, PluginError):
                raise
            raise PluginError(
                f"a hook of {module.__name__!r} has the wrong arguments", where=str(origin), found=str(error)
            ) from error

    def add_kinds_of(self, module: ModuleType | type, origin: Origin) -> None:
        """Take in the kinds of a module only. Raises PluginError when its hook fails or a name is taken."""
        declare = getattr(module, "affectgpt_kinds", None)
        if declare is not None and hasattr(declare, f"{hooks.PROJECT}_impl"):
            for kind in call_declaration(module, "affectgpt_kinds", origin):
                self.add_kind(kind, origin)

    def _add_declarations(self, module: ModuleType, origin: Origin) -> None:
        callers = self.hooks.get_hookcallers(module) or []
        self._check_hook_names(callers, module, origin)
        hook_names = {caller.name for caller in callers}
        self.add_kinds_of(module, origin)
        specs: list[PluginSpec | type] = [value for value in vars(module).values() if _is_marked(value, module)]
        if "affectgpt_plugins" in hook_names:
            specs += call_declaration(module, "affectgpt_plugins", origin)
        if not specs and not callers:
            raise PluginError(
                f"module {module.__name__!r} declares no plugin",
                where=str(origin),
                expected=f"{self._marked_class()}, or a function marked with @hookimpl",
            )
        for spec in specs:
            self.add(spec, origin)
        # What an earlier run of the module declared and this one does not.
        declared = {key for key in map(_key, specs) if key is not None}
        for key, entry in list(self.entries.items()):
            is_of_module = entry.origin == origin and entry.spec.target.split(":")[0] == module.__name__
            if is_of_module and key not in declared:
                del self.entries[key]

    def _forget(self, name: str) -> None:
        if self.hooks.get_plugin(name) is not None:
            self.hooks.unregister(name=name)

    def _check_hook_names(self, callers: Iterable[pluggy.HookCaller], module: ModuleType, origin: Origin) -> None:
        names = [name for name in vars(hooks) if name.startswith("affectgpt_")]
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(
                    f"module {module.__name__!r} implements a hook that does not exist",
                    where=str(origin),
                    found=caller.name,
                    expected=f"one of {join_names(names)}",
                    hint=did_you_mean(caller.name, names),
                )

    def report(self, name: str, origin: Origin, cause: str) -> None:
        """Record a plugin that could not be taken in, for listings and for the messages of [get][]."""
        self.broken.append(BrokenPlugin(name, origin, cause))

    def __repr__(self) -> str:
        return catalog_text(self)

    def _repr_html_(self) -> str:
        return catalog_html(self)

    # -- looking up

    def call_hook(self, hook: str, **arguments: object) -> list[BrokenPlugin]:
        """Call every implementation of a hook; one that fails is recorded in `broken`, and the next is called.

        Returns the implementations that failed in this call.
        """
        count = len(self.broken)
        for implementation in getattr(self.hooks.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.report(hook, Origin(implementation.plugin_name), one_line(error))
        return self.broken[count:]

    def has_hook(self, hook: str) -> bool:
        """Whether any plugin implements `hook`."""
        return bool(getattr(self.hooks.hook, hook).get_hookimpls())

    def kind(self, name: Kind) -> PluginKind:
        """The kind `name`. Raises PluginError for an unknown one."""
        if name not in self.kinds:
            raise PluginError(
                f"there is no plugin kind {name!r}",
                expected=f"one of {join_names(self.kinds)}",
                hint=did_you_mean(name, self.kinds),
            )
        return self.kinds[name]

    def names(self, kind: Kind) -> list[str]:
        """The names of the usable plugins of a kind, sorted."""
        return sorted(name for kind_name, name in self.entries if kind_name == kind)

    def get(self, kind: Kind, name: str) -> PluginEntry:
        """The plugin `name`. Raises PluginError with the nearest names, all names, and what is broken."""
        key = (kind, name)
        if key not in self.entries:
            self.load_deferred()
        if key in self.conflicts:
            origins = " and ".join(f"{entry.spec.target} from {entry.origin}" for entry in self.conflicts[key])
            raise PluginError(f"two plugins are named {kind} {name!r}", found=origins, hint="uninstall one of them")
        if key in self.entries:
            return self.entries[key]
        names = self.names(kind)
        kinds = [kind_name for kind_name, plugin_name in self.entries if plugin_name == name]
        hint = did_you_mean(name, names) or (f"{name!r} is a plugin of kind {kinds[0]}" if kinds else "")
        failed = "; ".join(f"{broken.name} from {broken.origin}: {broken.cause}" for broken in self.broken)
        raise PluginError(
            f"there is no {kind} plugin {name!r}",
            found=repr(name),
            expected=f"one of {join_names(names)}",
            hint="; ".join(part for part in (hint, f"these failed to load: {failed}" if failed else "") if part),
        )

    def load_deferred(self) -> None:
        """Import the packages that were put off because declaring their plugins imports torch."""
        while self.deferred:
            _, load = self.deferred.popitem()
            load()

    def config_class(self, entry: PluginEntry) -> type[BaseModel]:
        """The plugin's config class (torch-free for the plugins of this project)."""
        model: type[BaseModel] = entry.config_class()
        return model

    def interface(self, entry: PluginEntry) -> str:
        """What the plugin reads and gives, in a line; "" when its kind does not say."""
        kind = self.kinds[entry.spec.kind]
        return str(kind.load("interface")(self.config_class(entry))) if kind.interface else ""

    def target_class(self, entry: PluginEntry) -> Callable[..., object]:
        """The plugin's module class; importing it usually imports torch."""
        target: Callable[..., object] = entry.target_class()
        return target


def _is_marked(value: object, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__ and SPEC_ATTRIBUTE in vars(value)


def _key(plugin: PluginSpec | type) -> tuple[Kind, str] | None:
    spec = plugin if isinstance(plugin, PluginSpec) else getattr(plugin, SPEC_ATTRIBUTE, None)
    return (spec.kind, spec.name) if isinstance(spec, PluginSpec) else None
