"""Facts of plugins as values of JSON: for listings, and for the documentation."""

from __future__ import annotations

import json
from typing import Any

from affectgpt.api.catalog import find_plugins
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.entry import PluginEntry


def plugin_facts(name: str, catalog: Catalog) -> list[dict[str, Any]]:
    """The interface, options and origin of the plugins called `name`, one per kind at most.

    `options` holds for each option its default as JSON, its type and its meaning. Imports the plugins' config classes.
    Raises PluginError when there is no such plugin or its config cannot be imported.
    """
    return [_facts(entry, catalog) for entry in find_plugins(name, catalog)]


def catalog_facts(catalog: Catalog) -> dict[str, list[Any]]:
    """The declarations of all plugins with their origins, the packages that were not examined, and what is broken."""
    return {
        "plugins": [
            {**entry.spec.model_dump(mode="json"), "from": entry.origin.source, "version": entry.origin.version}
            for entry in catalog.entries.values()
        ],
        "deferred": list(catalog.deferred),
        "broken": [
            {"name": broken.name, "from": str(broken.origin), "cause": broken.cause} for broken in catalog.broken
        ],
    }


def _facts(entry: PluginEntry, catalog: Catalog) -> dict[str, Any]:
    model = catalog.config_class(entry)
    options = {}
    properties = model.model_json_schema().get("properties", {})
    for option, field in model.model_fields.items():
        value = "" if field.is_required() else field.get_default(call_default_factory=True)
        default = "(required)" if field.is_required() else json.dumps(value, default=str)
        annotation = str(getattr(field.annotation, "__name__", field.annotation)).replace("typing.", "")
        if "enum" in properties.get(option, {}):
            annotation = " | ".join(map(str, properties[option]["enum"]))
        options[option] = (default, annotation, field.description or "")
    spec = entry.spec
    return {
        "kind": spec.kind,
        "name": spec.name,
        "summary": spec.summary,
        "interface": catalog.interface(entry),
        "from": str(entry.origin),
        "config": spec.config,
        "target": spec.target,
        "citation": spec.citation,
        "requires": " ".join(spec.requires),
        "options": options,
    }
