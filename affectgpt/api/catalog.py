"""The plugins that can be used: find them, list them, check them, build an extractor, start a package for a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from affectgpt.api.resolve import Plugins, catalog_for, check_options, check_text, path_of
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover as discover
from affectgpt.registry.entry import PluginEntry
from affectgpt.registry.errors import ConfigError, PluginError, join_names
from affectgpt.registry.messages import did_you_mean
from affectgpt.registry.spec import SPEC_ATTRIBUTE, PluginSpec

if TYPE_CHECKING:
    from affectgpt.core.extraction import CheckedExtractor
    from affectgpt.testing.verification import CheckResult as CheckResult
else:
    # Its module imports torch.
    def __getattr__(name: str) -> object:
        if name != "CheckResult":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("affectgpt.testing.verification").CheckResult


def list_plugins(kind: str | None = None, plugins: Plugins = ()) -> list[PluginSpec]:
    """The declarations of all usable plugins, or of those of one kind, sorted by kind and name. No target is imported.

    Raises PluginError when one of `plugins` is broken, ConfigError for a kind that does not exist.
    """
    catalog = catalog_for(plugins)
    if kind is not None:
        check_kind(kind, catalog)
    return [entry.spec for key, entry in sorted(catalog.entries.items()) if kind in (None, key[0])]


def check_kind(kind: str, catalog: Catalog) -> None:
    """Raise ConfigError unless plugins of the kind `kind` exist."""
    check_text(kind, "kind")
    if kind not in catalog.kinds:
        raise ConfigError(
            "there is no such kind of plugin",
            where="kind",
            found=repr(kind),
            expected=f"one of {join_names(catalog.kinds)}",
            hint=did_you_mean(kind, catalog.kinds),
        )


def find_plugins(name: str, catalog: Catalog) -> list[PluginEntry]:
    """The plugins called `name`, one per kind at most. Raises PluginError when there is none."""
    check_text(name, "name")
    entries = [entry for (_, other), entry in catalog.entries.items() if other == name]
    if not entries and catalog.deferred:
        catalog.load_deferred()
        return find_plugins(name, catalog)
    if not entries:
        names = {other for _, other in catalog.entries}
        raise PluginError(
            f"there is no plugin {name!r}", expected=f"one of {join_names(names)}", hint=did_you_mean(name, names)
        )
    return entries


def find_plugin(name: str, kind: str | None, catalog: Catalog) -> PluginEntry:
    """The plugin called `name`. Raises PluginError when there is none, or several and no `kind`."""
    if kind is not None:
        check_kind(kind, catalog)
        return catalog.get(kind, name)
    entry, *further = find_plugins(name, catalog)
    if further:
        kinds = join_names(other.spec.kind for other in (entry, *further))
        raise PluginError(f"{name!r} is the name of several plugins", found=kinds, hint="rename one of them")
    return entry


def verify(
    name_or_class: str | type,
    *,
    kind: str | None = None,
    options: Mapping[str, object] | None = None,
    slow: bool = False,
    plugins: Plugins = (),
) -> list[CheckResult]:
    """Check that a plugin keeps what all plugins of its kind keep: one result a check, `failure` empty when it passes.

    `kind` is needed when plugins of several kinds have the name. `options` are those of the plugin's config. With
    `slow` also the checks that take seconds (torch.compile). Raises PluginError for an unknown or broken plugin,
    ConfigError for wrong options.
    """
    return list(verify_each(name_or_class, kind=kind, options=options, slow=slow, plugins=plugins))


def verify_each(
    name_or_class: str | type,
    *,
    kind: str | None = None,
    options: Mapping[str, object] | None = None,
    slow: bool = False,
    plugins: Plugins = (),
) -> Iterator[CheckResult]:
    """As [verify][affectgpt.verify], each result as soon as its check ends."""
    check_options(options, "options")
    catalog = catalog_for(plugins)
    if isinstance(name_or_class, str):
        spec = find_plugin(name_or_class, kind, catalog).spec
    else:
        catalog.add(name_or_class)
        spec = getattr(name_or_class, SPEC_ATTRIBUTE)
    from affectgpt.testing.verification import verify as run

    return run(catalog, spec.kind, spec.name, options, slow=slow)


def build_extractor(
    name: str,
    options: Mapping[str, object] = {},
    plugins: Plugins = (),
) -> CheckedExtractor:
    """The extractor plugin `name`, with the LLM that it asks for, in evaluation mode.

    Its results are checked: one that breaks the contract of [Extractor][affectgpt.Extractor] raises PluginError. Paths
    among `options` that start with `./` are meant from the working folder. Raises PluginError for an unknown or broken
    plugin, ConfigError with every problem of the options, and what the LLM raises.
    """
    from affectgpt.core.extraction import build_extractor as build

    check_text(name, "name")
    check_options(options, "options")
    return build(name, dict(options), catalog_for(plugins))


def new_plugin(kind: str, name: str, into: str | Path = ".") -> Path:
    """Write a plugin package to start from into a new folder of `into`, and return that folder.

    It holds the class, its config, the entry point, tests, a README and a CI file. Raises ConfigError when the kind
    does not exist, the name is no name for a plugin or is taken, or the folder exists.
    """
    catalog = discover()
    check_kind(kind, catalog)
    check_text(name, "name")
    entry = catalog.entries.get((kind, name))
    if entry is not None:
        raise ConfigError(
            f"there is a {kind} of this name",
            where="name",
            found=f"{name!r} from {entry.origin}",
            hint="choose another name",
        )
    from affectgpt.scaffold import write_package

    return write_package(catalog.kinds[kind], name, path_of(into, "into"))


def schema(plugins: Plugins = ()) -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of pipeline files, with the options of every usable plugin, for editors."""
    from affectgpt.core.json_schema import pipeline_schema

    return pipeline_schema(catalog_for(plugins))
