"""`affectgpt check`: is this pipeline file right, and what will it be? Without torch, weights or network."""

from __future__ import annotations

from typing import Any

import typer

from affectgpt import api
from affectgpt.cli.options import Config, Json, Plugin, Set, catalog_of, console
from affectgpt.cli.printable import json_text


def command(
    context: typer.Context,
    config: Config,
    set_: Set = [],
    plugins: Plugin = [],
    as_json: Json = False,
) -> None:
    """Check a pipeline file and print its graph, widths, token counts and parameter counts."""
    facts: Any = api.plan(config, *set_, plugins=catalog_of(context, plugins)).to_dict()
    if as_json:
        typer.echo(json_text(facts, indent=1))
        return
    from rich.markup import escape
    from rich.table import Table

    out = console()
    out.print(f"[bold]{escape(str(config))}[/bold] is a valid pipeline.\n")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("node", "plugin", "reads", "gives \\[tokens, width]", "parameters", "trained"):
        table.add_column(column, justify="right" if column in ("parameters", "trained") else "left")
    for row in facts["nodes"]:
        table.add_row(
            row["node"],
            row["plugin"],
            ", ".join(row["reads"]),
            row["gives"].replace("[", "\\["),
            _count(row["parameters"]),
            _count(row["trained"]),
        )
    out.print(table)
    budget = facts["prompt"]
    out.print(
        f"\nprompt: {' + '.join(budget['order'])}\n  {budget['nodes']} node tokens + at most {budget['text']} of text"
        f" + {budget['subtitle']} of subtitle + {budget['answer']} of answer = {budget['total']}"
        f" of {budget['context']} in the LLM's context",
        markup=False,
    )
    out.print(f"trained parameters: {_count(facts['trained'])}", markup=False)
    if budget["total"] > budget["context"]:
        out.print("note: a prompt of this length may be too long; text is counted in bytes, which bounds its tokens")
    counts = [row[column] for row in facts["nodes"] for column in ("parameters", "trained")]
    if None in counts:
        out.print("note: a number that is unknown here is known once the model is loaded")
    for note in facts["notes"]:
        out.print(f"note: {note}", markup=False)


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
