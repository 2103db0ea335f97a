"""`affectgpt hub`: the model card of a saved model, and its upload to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from affectgpt.cli.options import Plugin, catalog_of
from affectgpt.cli.printable import one_line, printable

app = typer.Typer(no_args_is_help=True, help="Put saved models on the Hugging Face Hub.")

Folder = Annotated[Path, typer.Argument(help="A saved model.", show_default=False)]
Scores = Annotated[Path | None, typer.Option(help="A scores file of `affectgpt score` or `unibench`, for the card.")]


@app.command("card")
def card(
    context: typer.Context,
    folder: Folder,
    scores: Scores = None,
    show: Annotated[bool, typer.Option("--show", help="Print the card, write nothing.")] = False,
    plugin: Plugin = [],
) -> None:
    """Write the model card (README.md) from the model's own files and its scores."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    from affectgpt.hub.card import card_of, write_card

    if show:
        typer.echo(card_of(folder, catalog, scores), nl=False)
    else:
        typer.echo(str(write_card(folder, catalog, scores)))


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
    plugin: Plugin = [],
) -> None:
    """Check a saved model and upload it, with its card. The token is that of `hf auth login`, or in HF_TOKEN."""
    catalog = catalog_of(context, plugin)
    catalog.load_deferred()
    from affectgpt.core.load_config import load_config
    from affectgpt.core.saved.model import CONFIG
    from affectgpt.hub.card_data import local_models
    from affectgpt.hub.saving import push_to_hub

    url = push_to_hub(folder, repo, private=private, revision=revision, create_pr=pr, scores=scores, catalog=catalog)
    typer.echo(one_line(url))
    config, _ = load_config(folder / CONFIG, catalog, allow_plugins=False)
    for node, model in local_models(config).items():
        note = f"note: the model of {node} is a folder of this machine, which others do not have: {model}"
        typer.echo(printable(note), err=True)
