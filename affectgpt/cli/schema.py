"""`affectgpt schema`: a JSON Schema of pipeline files, for editors."""

from __future__ import annotations

import typer

from affectgpt.cli.options import Plugin, catalog_of
from affectgpt.cli.printable import json_text
from affectgpt.core.json_schema import pipeline_schema


def command(context: typer.Context, plugin: Plugin = []) -> None:
    """Print the JSON Schema of pipeline files, with every usable plugin's options."""
    typer.echo(json_text(pipeline_schema(catalog_of(context, plugin)), indent=1))
