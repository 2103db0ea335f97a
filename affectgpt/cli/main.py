"""The `affectgpt` command: one Typer application, one module per command, one place where errors are shown."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from affectgpt import __version__
from affectgpt.cli import check, demo, describe, plugins, schema, synth, train
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import AffectGPTError

app = typer.Typer(
    name="affectgpt", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Describe a person's emotion from video, voice and words; assemble, check and train such models.",
)  # fmt: skip
app.command("describe")(describe.command)
app.command("demo")(demo.command)
app.command("train")(train.command)
app.command("check")(check.command)
app.command("schema")(schema.command)
app.command("synth")(synth.command)
app.add_typer(plugins.app, name="plugins")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"affectgpt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exits 0, or 2 for bad input, or 1 for work that failed."""
    arguments = sys.argv[1:]
    # Also after the command's name, where people put it.
    debug = "--debug" in arguments
    arguments = [*(["--debug"] if debug else []), *(each for each in arguments if each != "--debug")]
    try:
        catalog = discover()
        catalog.call_each("affectgpt_cli", app=app)
        app(args=arguments, obj=catalog)
    except AffectGPTError as error:
        if debug:
            raise
        _show(error, as_json="--json" in arguments)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise SystemExit(130) from None
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {type(error).__name__}: {error}\n  to do: run again with --debug for the traceback", err=True)
        raise SystemExit(1) from None


def _show(error: AffectGPTError, *, as_json: bool) -> None:
    if as_json:
        rows = [vars(problem) for problem in error.problems]
        typer.echo(json.dumps({"problems": rows}, indent=1, ensure_ascii=False))
        return
    if len(error.problems) > 1:
        typer.echo(f"{len(error.problems)} problems:", err=True)
    for problem in error.problems:
        typer.echo(f"error: {problem}", err=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    main()
