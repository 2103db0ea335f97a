"""`affectgpt new`: start a plugin package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import catalog_of
from affectgpt.registry.errors import ConfigError, listed
from affectgpt.registry.spec import KINDS, Kind
from affectgpt.registry.suggest import did_you_mean
from affectgpt.scaffold import write_package


def command(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="fuser, encoder, llm or extractor.")],
    name: Annotated[str, typer.Argument(help="The plugin's name, e.g. my-fuser.")],
    into: Annotated[Path, typer.Option("--into", help="The folder that the package's folder is made in.")] = Path(),
) -> None:
    """Write a plugin package to start from: class, config, entry point, tests, README and CI file."""
    chosen: Kind | None = next((each for each in KINDS if each == kind), None)
    if chosen is None:
        raise ConfigError(
            "there is no such kind of plugin",
            found=repr(kind),
            expected=f"one of {listed(KINDS)}",
            hint=did_you_mean(kind, KINDS),
        )
    entry = catalog_of(context, []).entries.get((chosen, name))
    if entry is not None:
        raise ConfigError(
            f"there is a {kind} of this name", found=f"{name!r} from {entry.origin}", hint="choose another name"
        )
    folder = write_package(chosen, name, into)
    typer.echo(f"wrote {folder}")
    typer.echo(f"next: pip install -e '{folder}[test]', affectgpt plugins verify {name}")
