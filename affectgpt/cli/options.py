"""Options that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import load_ref
from affectgpt.registry.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Config = Annotated[Path, typer.Argument(help="A pipeline YAML file.", show_default=False)]
Set = Annotated[
    list[str], typer.Option("--set", help="Change one value, e.g. fusers.multi.plugin=mean. May be repeated.")
]
Plugin = Annotated[
    list[str], typer.Option("--plugin", help="Load plugins from a .py file or a module. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def catalog_of(context: typer.Context, refs: list[str]) -> Catalog:
    """The catalog that `main` discovered, with the plugins named on the command line."""
    catalog = context.obj
    assert isinstance(catalog, Catalog)
    for ref in refs:
        load_ref(catalog, ref)
    return catalog


def saved_model(name: Path) -> Path:
    """The folder of a saved model; one on the Hub, `owner/name[@revision]`, is fetched, and its commit is told."""
    from affectgpt.hub.loading import local_folder

    return local_folder(name, tell=lambda line: typer.echo(f"note: {line}", err=True))


def call_hooks(catalog: Catalog, hook: str, **arguments: Any) -> None:
    """Call a hook of every plugin; one that fails costs a warning on standard error, not the work."""
    for broken in catalog.call_each(hook, **arguments):
        typer.echo(f"warning: hook {broken.name} of {broken.origin}: {broken.cause}", err=True)


def console(*, err: bool = False) -> Console:
    """A Rich console; 100 columns wide where the output is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(stderr=err, width=None if stream.isatty() else 100, highlight=False)


def progress() -> Progress:
    """A progress display on standard error, so that standard output stays clean."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    # Rich sends what is printed meanwhile to its own console, which must not take results out of a file or pipe.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(err=True),
        transient=False,
        redirect_stdout=sys.stdout.isatty(),
    )


def plugin_options(changes: list[str]) -> dict[str, Any]:
    """The options in `KEY=VALUE` texts, values as in YAML. Raises ConfigError for a text that is none."""
    import yaml

    options = {}
    for change in changes:
        key, given, value = change.partition("=")
        try:
            if not key or not given:
                raise ValueError("there is no KEY=")
            options[key] = yaml.safe_load(value)
        except (ValueError, yaml.YAMLError, RecursionError) as error:
            raise ConfigError(
                "this is not an option",
                where="--set",
                found=f"{change} ({str(error).splitlines()[0]})",
                expected="KEY=VALUE, the value as in a YAML file",
            ) from None
    return options
