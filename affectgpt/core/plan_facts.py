"""A plan as rows, as text and as HTML: nodes, inputs, outputs, and the budget of the prompt. Imports no torch."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from affectgpt.core.token_spec import NO_BOUND

if TYPE_CHECKING:
    from pydantic import BaseModel

    from affectgpt.core.budget import Budget
    from affectgpt.core.plan import Plan, PlannedNode

_COLOURS = {"nodes": "#4c78a8", "text": "#72b7b2", "subtitle": "#eeca3b", "answer": "#f58518"}


def plan_facts(plan: Plan) -> dict[str, Any]:
    """The plan as values of JSON: `nodes`, `trained` (parameters, None: unknown), `prompt`, `notes`."""
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
    context = "any length" if llm.output.tokens == NO_BOUND else f"context {llm.output.tokens}"
    gives = f"text, {context}, width {llm.output.dim}"
    rows.append(_row(llm, ["prompt"], 0 if frozen else llm.parameters) | {"gives": gives})
    adapter = llm.config.adapter_parameters()
    if adapter != 0:
        rows.append(
            {"node": "adapter", "plugin": "LoRA", "reads": [], "gives": "", "parameters": adapter, "trained": adapter}
        )
    trained = [row["trained"] for row in rows]
    budget = plan.budget
    return {
        "nodes": rows,
        "trained": None if None in trained else sum(trained),
        "prompt": {
            "order": [part.value for part in plan.parts if part.kind != "text"],
            "nodes": budget.nodes,
            "text": budget.text,
            "text_tokens": budget.text_tokens,
            "subtitle": budget.subtitle,
            "answer": budget.answer,
            "total": budget.total,
            "context": None if budget.context == NO_BOUND else budget.context,
        },
        "notes": list(plan.notes),
    }


def _row(node: PlannedNode[BaseModel], reads: list[str], trained: int | None) -> dict[str, Any]:
    return {
        "node": node.name,
        "plugin": node.entry.spec.name,
        "reads": reads,
        "gives": str(node.output),
        "parameters": node.parameters,
        "trained": trained,
    }


def plan_text(plan: Plan) -> str:
    """The graph, one line a node, and the tokens of the prompt."""
    facts = plan_facts(plan)
    rows = [
        (row["node"], row["plugin"], f"{', '.join(row['reads'])} -> {row['gives']}", _count(row["parameters"]))
        for row in facts["nodes"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + f"  {row[3]} parameters"
        for row in rows
    ]
    prompt = facts["prompt"]
    return "\n".join([*lines, f"prompt  {_total(prompt['total'], prompt['context'])}"])


def plan_html(plan: Plan) -> str:
    """A table of the nodes, and the budget of the prompt as a bar."""
    facts = plan_facts(plan)
    head = "".join(f"<th>{name}</th>" for name in ("node", "plugin", "inputs", "[tokens, width]", "parameters"))
    body = ""
    for row in facts["nodes"]:
        cells = (row["node"], row["plugin"], ", ".join(row["reads"]), row["gives"], _count(row["parameters"]))
        body += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts["notes"])
    return f"<table><tr>{head}</tr>{body}</table>{_budget_html(plan.budget)}<ul>{notes}</ul>"


def _budget_html(budget: Budget) -> str:
    context = None if budget.context == NO_BOUND else budget.context
    whole = max(context or 0, budget.total)
    bar = legend = ""
    for name, colour in _COLOURS.items():
        tokens = getattr(budget, name)
        style = f"display:inline-block;background:{colour};height:1em"
        bar += f'<span title="{name}: {tokens}" style="{style};width:{100 * tokens / whole:.2f}%"></span>'
        legend += f'<span style="{style};width:1em"></span> {name} {tokens} '
    return (
        f"<p>prompt: {_total(budget.total, context)}</p>"
        f'<div style="width:30em;background:#ddd;line-height:0">{bar}</div><p>{legend}</p>'
    )


def _total(total: int, context: int | None) -> str:
    return f"at most {total} tokens" if context is None else f"at most {total} of {context} tokens"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
