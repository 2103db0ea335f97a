"""The prompt wording of a converted model, from a file that the user wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from affectgpt.core.yaml_source import read_mapping
from affectgpt.registry.errors import ConfigError, join_names
from affectgpt.registry.messages import did_you_mean
from affectgpt.released.input_types import MARKS, InputType

LABELS_ANSWER = "{labels}"
_KEYS = ("template", "question", "labels_question", "labels_answer")


@dataclass(frozen=True)
class Wording:
    """The prompt `template`, with a converted pipeline's placeholders, the questions, and the answer for labels.

    `labels_question` is None when only descriptions are asked for. `remarks` are notes for the user.
    """

    template: str
    question: str
    labels_question: str | None = None
    labels_answer: str = LABELS_ANSWER
    remarks: tuple[str, ...] = ()


def fill_markers(template: str) -> str:
    """`template` with the original's marks (`<AudioHere>`) replaced by the placeholders of the nodes."""
    for mark, node in MARKS.items():
        template = template.replace(mark, f"{{{node}}}")
    return template


def read_prompt_file(path: Path, reads: InputType) -> Wording:
    """The wording in a YAML file of `template`, `question`, and (optional) `labels_question`, `labels_answer`.

    Raises ConfigError when the file is no such mapping or the template lacks a placeholder of `reads`.
    """
    source = read_mapping(path, what="prompt", keys=", ".join(_KEYS))
    for key, value in source.data.items():
        if key not in _KEYS:
            raise ConfigError(
                f"there is no setting {key!r}",
                where=source.location((key,)),
                expected=f"one of {join_names(_KEYS)}",
                hint=did_you_mean(key, _KEYS),
            )
        if not isinstance(value, str):
            raise ConfigError("must be a text", where=source.location((key,)), found=repr(value)[:80])
    for key in _KEYS[:2]:
        if not source.data.get(key, "").strip():
            raise ConfigError(f"the prompt file has no {key}", where=str(path), expected=f"{key}: ...")
    template = fill_markers(source.data["template"])
    check_placeholders(template, reads, source.location(("template",)))
    return Wording(
        template,
        source.data["question"],
        source.data.get("labels_question"),
        source.data.get("labels_answer", LABELS_ANSWER),
    )


def placeholders_for(reads: InputType) -> set[str]:
    """The placeholders of a template for this input type."""
    return {*reads.nodes, "question", *(["subtitle"] if reads.subtitle else [])}


def check_placeholders(template: str, reads: InputType, where: str) -> None:
    """Raise ConfigError unless `template` holds the placeholders of `reads`, each once."""
    placeholders, expected = re.findall(r"\{([^{}]*)\}", template), placeholders_for(reads)
    if sorted(placeholders) != sorted(expected):
        raise ConfigError(
            f"the template is not one for {reads.name}",
            where=where,
            found=", ".join(placeholders) or "no placeholder",
            expected=f"{', '.join(f'{{{placeholder}}}' for placeholder in sorted(expected))}, each once",
        )
