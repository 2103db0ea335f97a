"""`affectgpt hub`: the model card of a saved model, and its upload to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt import api
from affectgpt.cli.options import Plugin, catalog_of
from affectgpt.cli.printable import one_line
from affectgpt.cli.standard_streams import echo

app = typer.Typer(no_args_is_help=True, help="Put saved models on the Hugging Face Hub.")

Folder = Annotated[Path, typer.Argument(help="A saved model.", show_default=False)]
Scores = Annotated[Path | None, typer.Option(help="A scores file of `affectgpt score` or `unibench`, for the card.")]


@app.command("card")
def card(
    context: typer.Context,
    folder: Folder,
    scores: Scores = None,
    show: Annotated[bool, typer.Option("--show", help="Print the card, write nothing.")] = False,
    plugins: Plugin = [],
) -> None:
    """Write the model card (README.md) from the model's own files and its scores."""
    catalog = catalog_of(context, plugins)
    if show:
        echo(api.model_card(folder, scores, plugins=catalog), nl=False)
    else:
        echo(str(api.write_model_card(folder, scores, plugins=catalog)))


@app.command("push")
def push(
    context: typer.Context,
    folder: Folder,
    repo: Annotated[
        str, typer.Argument(help="The repository, OWNER/NAME; made when there is none.", show_default=False)
    ],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    scores: Scores = None,
    revision: Annotated[str | None, typer.Option(help="A branch that exists. Default: the main one.")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="Propose the upload as a pull request.")] = False,
    plugins: Plugin = [],
) -> None:
    """Check a saved model and upload it, with its card. The token is that of `hf auth login`, or in HF_TOKEN."""
    address = api.push_to_hub(
        folder,
        repo,
        private=private,
        revision=revision,
        create_pr=pr,
        scores=scores,
        plugins=catalog_of(context, plugins),
    )
    echo(one_line(address))
