"""The `affectgpt` command: one Typer application, one module per command, one place where errors are shown."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from affectgpt import __version__, api
from affectgpt.cli.arguments import (
    are_arguments_known,
    options_of,
    show_log_as_notes,
    show_warnings_as_lines,
    with_options,
)
from affectgpt.cli.printable import json_text, printable
from affectgpt.cli.signals import Terminated, terminated_by_signals
from affectgpt.cli.standard_streams import (
    OutputError,
    checked_streams,
    echo,
    end_of_result,
    result_apart,
    with_result_apart,
)
from affectgpt.registry.errors import AffectGPTError

# Typer has its own copy of Click from some version on, and exports this class of it only.
UsageError: Any = typer.BadParameter.__base__
_PYDANTIC = "PYDANTIC_DISABLE_PLUGINS"
_PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

# In the order of the help: names of commands, and after them those of groups of commands.
_COMMANDS = {
    "describe": "describe",
    "demo": "demo",
    "encode": "encode",
    "env": "environment",
    "generate": "generate",
    "score": "score",
    "serve-embeds": "serve_embeds",
    "unibench": "unibench",
    "train": "train",
    "check": "check",
    "schema": "schema",
    "synth": "synth",
    "new": "new",
    "convert": "convert",
    "data": "data",
    "hub": "hub",
    "plugins": "plugins",
    "weights": "weights",
}


def application(only: str | None = None) -> typer.Typer:
    """The command line with all commands of this package, or with the one named `only`."""
    app = typer.Typer(
        name="affectgpt",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Describe a person's emotion from video, voice and words; assemble, check and train such models.",
    )
    app.callback()(_options)
    for name, module_name in _COMMANDS.items():
        if only in (None, name):
            module = import_module(f"affectgpt.cli.{module_name}")
            if hasattr(module, "app"):
                _set_result_apart(module)
                app.add_typer(module.app, name=name)
            else:
                app.command(name)(with_result_apart(module.command))
    return app


def _set_result_apart(module: Any) -> None:
    for declared in (module.app.registered_callback, *module.app.registered_commands):
        is_ours = declared is not None and declared.callback.__module__ == module.__name__
        if is_ours and not hasattr(declared.callback, "__wrapped__"):
            declared.callback = with_result_apart(declared.callback)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"affectgpt {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exits 0, or 2 for bad input, or 1 for work that failed.

    After Ctrl-C it exits 130, after SIGTERM 143, after SIGHUP 129: 128 and the signal's number.
    """
    with checked_streams() as finish:
        try:
            with terminated_by_signals() as termination:
                try:
                    _run()
                finally:
                    finish()
        except OutputError as error:
            # `| head -1` is no fault.
            if not error.reader_is_gone:
                typer.echo(f"error: {error}", err=True)
            raise SystemExit(error.exit_code) from None
        finally:
            # Whatever else went wrong on the way out.
            if termination.signal is not None:
                typer.echo(f"stopped by {termination.signal.name}", err=True)
                raise SystemExit(128 + termination.signal)


def _run() -> None:
    show_warnings_as_lines()
    show_log_as_notes()
    words = [word for word in sys.argv[1:] if word != "--debug"]
    # Also after the command's name, where people put it.
    debug = "--debug" in sys.argv[1:]
    arguments = [*(["--debug"] if debug else []), *words]
    as_json = "--json" in arguments
    app = None
    try:
        with result_apart():
            catalog = api.discover()
        has_hook = catalog.has_hook("affectgpt_cli")
        # Without the imports and options of the other commands.
        app = application(words[0] if words and words[0] in _COMMANDS and not has_hook else None)
        with result_apart():
            catalog.call_hook("affectgpt_cli", app=app)
        gc.enable()
        # Typer prints a wrong command line itself, as text, unless it is told not to.
        code = app(args=arguments, obj=catalog, standalone_mode=not as_json)
    except (OutputError, SystemExit, Terminated):
        raise
    except AffectGPTError as error:
        if debug:
            raise
        _show(error, app, as_json=as_json)
        raise SystemExit(error.exit_code) from None
    except UsageError as error:
        problem = AffectGPTError(error.format_message(), where="the command line", hint="see --help")
        _show(problem, app, as_json=as_json)
        raise SystemExit(AffectGPTError.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise SystemExit(130) from None
    except BaseException as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is not None and error.errno in _PATH_ERRORS:
            found = error.strerror or str(error)
            unusable = AffectGPTError("this path cannot be used", where=str(error.filename), found=found)
            _show(unusable, app, as_json=as_json)
            raise SystemExit(AffectGPTError.exit_code) from None
        typer.echo(printable(f"error: {type(error).__name__}: {error}"), err=True)
        typer.echo("  to do: run again with --debug for the traceback", err=True)
        raise SystemExit(1) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _show(error: AffectGPTError, app: typer.Typer | None, *, as_json: bool) -> None:
    options = options_of(app or application(), sys.argv[1:])
    if not all(are_arguments_known(problem, options) for problem in error.problems):
        options = {**options_of(application(), sys.argv[1:]), **options}
    problems = [with_options(problem, options) for problem in error.problems]
    if as_json:
        rows = [problem.texts() for problem in problems]
        echo(json_text({"problems": rows}, indent=1))
        return
    if len(problems) > 1:
        typer.echo(f"{len(problems)} problems:", err=True)
    for problem in problems:
        typer.echo(printable(f"error: {problem}"), err=True)


def run_process() -> None:
    """As [main][], in a process that does nothing else: what it has imported by now is not searched for garbage."""
    # Else pydantic reads the entry points of every installed package for plugins of its own: a tenth of `check`.
    if _PYDANTIC not in os.environ:
        os.environ[_PYDANTIC] = "__all__"
        # For this process alone: a program that it starts has the environment that the user gave.
        os.unsetenv(_PYDANTIC)
    # What is made before the command begins stays until it ends: no garbage to look for.
    gc.disable()
    import_module("affectgpt.api.catalog")
    # That took a fifth of the time of `check`. Before plugins are loaded: what is frozen is not collected when the
    # process ends, either, and an object of theirs may write something then.
    gc.freeze()
    try:
        main()
    finally:
        end_of_result()


if __name__ == "__main__":
    run_process()
