"""What a pipeline may spend: the tokens of a prompt in the LLM's context, and rates on what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.core.config import PipelineConfig
from affectgpt.core.prompt import Part
from affectgpt.registry.errors import Problem


@dataclass(frozen=True)
class Budget:
    """Tokens of one prompt at most: places of nodes, text (its bytes bound its tokens), answer, context.

    `text_tokens` is the exact number of the text's tokens, counted where its bytes do not fit and the tokenizer is at
    hand.
    """

    nodes: int
    text: int
    subtitle: int
    answer: int
    context: int
    text_tokens: int | None = None

    @property
    def total(self) -> int:
        return self.nodes + self.text + self.subtitle + self.answer


def prompt_budget(config: PipelineConfig, parts: Sequence[Part], nodes: int, context: int) -> Budget:
    """The budget of a prompt of `parts` whose nodes give `nodes` tokens, in a context of `context` tokens."""
    prompt = config.prompt
    text = sum(len(part.value.encode()) for part in parts if part.kind == "text") + len(prompt.question.encode())
    subtitle = prompt.max_subtitle_tokens if any(part.kind == "subtitle" for part in parts) else 0
    return Budget(nodes, text, subtitle, config.generation.max_new_tokens, context)


def context_problem(budget: Budget) -> Problem | None:
    """What is wrong where a prompt and its answer are longer than the context; None where they may fit."""
    # Where its tokens cannot be counted, a text has at least one.
    least = budget.total - budget.text + (budget.text_tokens or 1)
    if least <= budget.context:
        return None
    counted = "" if budget.text_tokens is None else f" + {budget.text_tokens} of text and question"
    return Problem(
        "the prompt and the answer do not fit into the LLM's context",
        found=f"{budget.nodes} tokens of nodes + {budget.subtitle} of subtitle{counted} + {budget.answer} of answer",
        expected=f"at most {budget.context}" if counted else f"fewer than {budget.context}",
        hint="shorten generation.max_new_tokens, or compress a node with a fuser",
    )


def rate_notes(config: PipelineConfig) -> list[str]:
    """Notes on rates of parts that are not trained or not there: such a pipeline can describe; `train` refuses it."""
    parts = {"encoders", "fusers", "llm"}
    parts |= {f"encoders.{name}" for name in config.encoders} | {f"fusers.{name}" for name in config.fusers}
    frozen = {f"encoders.{name}" for name, node in config.encoders.items() if node.config.frozen}
    llm = config.llm.config
    if getattr(llm, "frozen", False) and llm.adapter_parameters() == 0:
        frozen.add("llm")
    return [
        f"training.rates.{name}: this part is not trained, and `train` refuses a rate for it"
        for name in config.training.rates
        if any(f"{name}.".startswith(f"{part}.") for part in frozen)
    ] + [
        f"training.rates.{name}: there is no such part, and `train` refuses a rate for it"
        for name in config.training.rates
        if not (name == "llm" or name.startswith("llm.")) and ".".join(name.split(".")[:2]) not in parts
    ]
