"""`affectgpt env`: what a report of a problem should say about the machine."""

from __future__ import annotations

from dataclasses import asdict

import typer

from affectgpt import api
from affectgpt.cli.options import Json, Plugin, catalog_of
from affectgpt.cli.printable import json_text, printable
from affectgpt.cli.standard_streams import echo


def command(context: typer.Context, plugins: Plugin = [], as_json: Json = False) -> None:
    """Print versions, devices and plugins, for a report of a problem."""
    environment = api.environment(catalog_of(context, plugins))
    echo(json_text(asdict(environment), indent=1) if as_json else printable(str(environment)))
