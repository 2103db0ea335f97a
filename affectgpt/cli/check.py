"""`affectgpt check`: is this pipeline file right, and what will it be? Without torch, weights or network."""

from __future__ import annotations

from typing import Any

import typer

from affectgpt import api
from affectgpt.cli.options import Config, Json, Plugin, Set, catalog_of
from affectgpt.cli.printable import aligned, json_text, one_line
from affectgpt.cli.standard_streams import echo


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
        echo(json_text(facts, indent=1))
        return
    rows = [("node", "plugin", "reads", "gives [tokens, width]", "parameters", "trained")]
    for row in facts["nodes"]:
        counts = (_count(row["parameters"]), _count(row["trained"]))
        rows.append((row["node"], row["plugin"], ", ".join(row["reads"]), row["gives"], *counts))
    budget = facts["prompt"]
    lines = [
        one_line(f"{config} is a valid pipeline."),
        "",
        aligned(rows, numbers=(4, 5)),
        "",
        one_line(f"prompt: {' + '.join(budget['order'])}"),
        f"  {budget['nodes']} node tokens + at most {budget['text']} of text + {budget['subtitle']} of subtitle"
        f" + {budget['answer']} of answer",
        f"  = {budget['total']} of {budget['context']} in the LLM's context"
        if budget["context"] is not None
        else f"  = {budget['total']}; the LLM states no bound of its context",
        f"trained parameters: {_count(facts['trained'])}",
    ]
    if budget["context"] is not None and budget["total"] > budget["context"] and budget["text_tokens"] is None:
        lines.append("note: a prompt of this length may be too long; text is counted in bytes, which bounds its tokens")
    if budget["text_tokens"] is not None:
        lines.append(f"note: the text, counted in bytes here, has {budget['text_tokens']} tokens, and fits")
    if any(None in (row["parameters"], row["trained"]) for row in facts["nodes"]):
        lines.append("note: a number that is unknown here is known once the model is loaded")
    lines += [one_line(f"note: {note}") for note in facts["notes"]]
    # Without Rich, whose import takes as long as the plan.
    echo("\n".join(lines))


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
