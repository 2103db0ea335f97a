"""`affectgpt schema`: a JSON Schema of pipeline files, for editors."""

from __future__ import annotations

import json

import typer

from affectgpt.cli.options import Plugin, catalog_of
from affectgpt.core.json_schema import pipeline_schema


def command(context: typer.Context, plugin: Plugin = []) -> None:  # noqa: B006
    """Print the JSON Schema of pipeline files, with every usable plugin's options."""
    typer.echo(json.dumps(pipeline_schema(catalog_of(context, plugin)), indent=1, ensure_ascii=False))
