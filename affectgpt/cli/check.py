"""`affectgpt check`: is this pipeline file right, and what will it be? Without torch, weights or network."""

from __future__ import annotations

from typing import Any

import typer

from affectgpt.cli.options import Config, Json, Plugin, Set, catalog_of, console
from affectgpt.cli.printable import json_text
from affectgpt.core.load_config import load_config
from affectgpt.core.plan import Plan, PlannedNode, make_plan


def command(
    context: typer.Context,
    config: Config,
    set_: Set = [],
    plugin: Plugin = [],
    as_json: Json = False,
) -> None:
    """Check a pipeline file and print its graph, widths, token counts and parameter counts."""
    catalog = catalog_of(context, plugin)
    checked, source = load_config(config, catalog, set_)
    plan = make_plan(checked, catalog, source)
    facts = _facts(plan)
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
    for origin in catalog.deferred:
        out.print(f"note: {origin} was not examined: it imports torch to declare its plugins", markup=False)
    for note in plan.notes:
        out.print(f"note: {note}", markup=False)


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _facts(plan: Plan) -> dict[str, Any]:
    rows = [
        _row(node, [node.config.input], 0 if node.config.frozen else node.parameters) for node in plan.encoders.values()
    ]
    rows += [_row(node, list(node.inputs), node.parameters) for node in plan.fusers.values()]
    for name in plan.projected:
        count = plan.projector_parameters(name)
        rows.append(
            {
                "node": f"{name} > llm",
                "plugin": "projector",
                "reads": [name],
                "parameters": count,
                "gives": f"[{plan.output(name).tokens}, {plan.llm.output.dim}]",
                "trained": count,
            }
        )
    llm = plan.llm
    frozen = getattr(llm.config, "frozen", False)
    gives = f"text, context {llm.output.tokens}, width {llm.output.dim}"
    rows.append(_row(llm, ["prompt"], 0 if frozen else llm.parameters) | {"gives": gives})
    adapter = llm.config.adapter_parameters()
    if adapter != 0:
        rows.append(
            {"node": "adapter", "plugin": "LoRA", "reads": [], "gives": "", "parameters": adapter, "trained": adapter}
        )
    trained = [row["trained"] for row in rows]
    budget = plan.budget
    order = [part.value for part in plan.parts if part.kind != "text"]
    return {
        "nodes": rows,
        "trained": None if None in trained else sum(trained),
        "prompt": {
            "order": order,
            "nodes": budget.nodes,
            "text": budget.text,
            "subtitle": budget.subtitle,
            "answer": budget.answer,
            "total": budget.total,
            "context": budget.context,
        },
        "notes": list(plan.notes),
    }


def _row(node: PlannedNode, reads: list[str], trained: int | None) -> dict[str, Any]:
    return {
        "node": node.name,
        "plugin": node.entry.spec.name,
        "reads": reads,
        "gives": str(node.output),
        "parameters": node.parameters,
        "trained": trained,
    }
