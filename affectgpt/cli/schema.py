"""`affectgpt schema`: a JSON Schema of pipeline files, for editors."""

from __future__ import annotations

import typer

from affectgpt import api
from affectgpt.cli.options import Plugin, catalog_of
from affectgpt.cli.printable import json_text
from affectgpt.cli.standard_streams import echo


def command(context: typer.Context, plugins: Plugin = []) -> None:
    """Print the JSON Schema of pipeline files, with every usable plugin's options."""
    echo(json_text(api.schema(catalog_of(context, plugins)), indent=1))
