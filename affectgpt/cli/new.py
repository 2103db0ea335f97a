"""`affectgpt new`: start a plugin package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt import api
from affectgpt.cli.standard_streams import echo


def command(
    kind: Annotated[str, typer.Argument(help="fuser, encoder, llm or extractor.")],
    name: Annotated[str, typer.Argument(help="The plugin's name, e.g. my-fuser.")],
    into: Annotated[Path, typer.Option("--into", help="The folder that the package's folder is made in.")] = Path(),
) -> None:
    """Write a plugin package to start from: class, config, entry point, tests, README and CI file."""
    folder = api.new_plugin(kind, name, into)
    echo(f"wrote {folder}")
    echo(f"next: pip install -e '{folder}[test]', affectgpt plugins verify {name}")
