"""The JSON Schema of pipeline files, so that editors complete and check them."""

from __future__ import annotations

from typing import Any

from affectgpt.core.config import NAME, GenerationConfig, PresenceConfig, PromptConfig, TrainingConfig
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import PluginError
from affectgpt.registry.spec import Kind


def pipeline_schema(catalog: Catalog) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a pipeline file. A plugin whose config cannot be imported is left out."""
    definitions: dict[str, Any] = {}
    nodes = {kind: _node(kind, catalog, definitions) for kind in ("encoder", "fuser", "llm")}
    sections = {
        name: _inline(model.model_json_schema(), definitions)
        for name, model in (("prompt", PromptConfig), ("generation", GenerationConfig), ("training", TrainingConfig))
    }
    presence = _inline(PresenceConfig.model_json_schema(), definitions)
    named = {"type": "object", "propertyNames": {"pattern": NAME}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "affectgpt pipeline",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "extends": {"type": "string", "description": "a pipeline file or a bundled name: settings to start from"},
            "plugins": {"type": "array", "items": {"type": "string"}, "description": "plugin files or modules"},
            "seed": {"type": "integer", "minimum": 0, "default": 0},
            "encoders": {**named, "additionalProperties": {"anyOf": [nodes["encoder"], {"type": "null"}]}},
            "fusers": {**named, "additionalProperties": {"anyOf": [nodes["fuser"], {"type": "null"}]}},
            "llm": nodes["llm"],
            # A plain `off` of YAML is false.
            "presence": {"anyOf": [{"enum": ["off", False]}, presence]},
            **sections,
        },
        "$defs": definitions,
    }


def _node(kind: Kind, catalog: Catalog, definitions: dict[str, Any]) -> dict[str, Any]:
    choices = []
    for name in catalog.names(kind):
        try:
            model = catalog.config_class(catalog.get(kind, name))
        except PluginError:
            continue
        schema = _inline(model.model_json_schema(), definitions)
        schema["properties"] = {"plugin": {"const": name}, **schema.get("properties", {})}
        # `input` may be left out: it defaults to the node's name.
        required = [each for each in schema.get("required", []) if not (kind == "encoder" and each == "input")]
        schema["required"] = ["plugin", *required]
        definitions[f"{kind}-{name}"] = schema
        choices.append({"$ref": f"#/$defs/{kind}-{name}"})
    return {"oneOf": choices}


def _inline(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    definitions.update(schema.pop("$defs", {}))
    return schema
