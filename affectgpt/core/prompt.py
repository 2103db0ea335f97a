"""The prompt as a list of parts: text, or a placeholder for the tokens of a node. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from affectgpt.core.config import RESERVED, PromptConfig
from affectgpt.core.token_spec import TokenSpec
from affectgpt.registry.errors import ConfigError, join_names
from affectgpt.registry.messages import did_you_mean

TEMPLATES = ("affectgpt",)
_OPENING, _CLOSING = "Human: ", " {question}\nAssistant: "
_SECTION_TEXTS = {
    "audio": "Voice: <Audio>{%s}</Audio>. ",
    "face": "Face: <Video>{%s}</Video>. ",
    "frame": "Picture: <Video>{%s}</Video>. ",
    "sound": "Sound: <Audio>{%s}</Audio>. ",
    "fused": "All together: <Multi>{%s}</Multi>. ",
}
_SUBTITLE = "Words: <Subtitle>{subtitle}</Subtitle>. "


@dataclass(frozen=True)
class Part:
    """One piece of a prompt. `section` groups the pieces that are left out together when a node is absent."""

    kind: Literal["text", "node", "subtitle", "question"]
    value: str
    section: str = ""


def prompt_nodes(prompt: PromptConfig) -> list[str]:
    """The nodes whose tokens the prompt holds, in order, without `subtitle` and `question`."""
    names = re.findall(r"\{([^{}]*)\}", prompt.template) if prompt.inline else prompt.order
    return [name for name in names if name not in RESERVED]


def build_parts(prompt: PromptConfig, specs: Mapping[str, TokenSpec]) -> list[Part]:
    """The parts of every prompt of a pipeline. `specs` are the nodes' outputs, by name.

    Raises ConfigError for an unknown template, an unknown or repeated node, a lone brace, or a template
    without `{question}`.
    """
    if prompt.inline:
        return _parse(prompt.template, specs, "")
    if prompt.template not in TEMPLATES:
        raise ConfigError(
            f"there is no prompt template {prompt.template!r}",
            expected=f"one of {join_names(TEMPLATES)}, or a text with placeholders such as {{question}}",
            hint=did_you_mean(prompt.template, TEMPLATES),
        )
    parts = [Part("text", _OPENING)]
    for name in prompt.order:
        if name == "subtitle":
            parts += _parse(_SUBTITLE, specs, "subtitle", needs_question=False)
            continue
        modality = specs[name].modality if name in specs else "fused"
        words = _SECTION_TEXTS.get(modality, _SECTION_TEXTS["fused"]) % name
        parts += _parse(words, specs, name, needs_question=False)
    parts += _parse(_CLOSING, specs, "")
    _check_repeats([part.value for part in parts if part.kind in ("node", "subtitle")])
    return parts


def turn_notes(prompt: PromptConfig, parts: Sequence[Part], markers: Sequence[str] | None) -> list[str]:
    """A note when the model's chat template marks turns by `markers`, and the prompt has none of them."""
    text = "".join(part.value for part in parts if part.kind == "text") + prompt.answer_end
    if markers is None or any(marker in text for marker in markers):
        return []
    by = f" marks turns by {join_names(markers)}" if markers else " names no special token"
    return [
        f"llm: the model's chat template{by}; the prompt is written by prompt.template and does not follow it: for a "
        "model that was trained to chat, write its turns into prompt.template and the end of a turn into "
        "prompt.answer_end"
    ]


def _parse(text: str, specs: Mapping[str, TokenSpec], section: str, *, needs_question: bool = True) -> list[Part]:
    parts = []
    for index, piece in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if index % 2 == 0:
            if "{" in piece or "}" in piece:
                raise ConfigError("a brace in the template is not closed or not opened", found=piece.strip())
            if piece:
                parts.append(Part("text", piece, section))
        elif piece == "question":
            parts.append(Part("question", piece, section))
        elif piece == "subtitle":
            parts.append(Part("subtitle", piece, section))
        elif piece in specs:
            parts.append(Part("node", piece, section))
        else:
            names = [*specs, *RESERVED]
            raise ConfigError(
                f"the prompt names {piece!r}, which is no node of this pipeline",
                expected=f"one of {join_names(names)}",
                hint=did_you_mean(piece, names),
            )
    if needs_question and not any(part.kind == "question" for part in parts):
        raise ConfigError("the template has no {question}", hint="write {question} where the question belongs")
    if section == "":
        _check_repeats([part.value for part in parts if part.kind != "text"])
    return parts


def _check_repeats(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the prompt holds {name!r} twice", hint="remove one of them")
