"""Reasoning that a text holds as fields of JSON: {"reasoning": "...", "answer": "..."}. No torch."""

from __future__ import annotations

import json
import re
from typing import Any

from affectgpt.core.reasoning_sections import ANSWERS

_KEY = (
    r"(?:think(?:ing)?|thoughts?|reasoning|rationale|scratch[ _-]?pad|chain[ _-]?of[ _-]?thoughts?|cot"
    r"|思考|推理|思维链)"
    r"(?:[ _-]?(?:process|content|steps?|trace)|过程|過程)?"
)
_REASONING = re.compile(_KEY, re.IGNORECASE)
_ANSWER = re.compile(rf"(?:{ANSWERS}|content|text)", re.IGNORECASE)
_FENCE = re.compile(r"\s*+(?:```(?:json)?\s*+)?(?=[\[{])", re.IGNORECASE)
_CUT = re.compile(rf"\{{\s*+\"{_KEY}\"\s*+:\s*+\"(?:[^\"\\]|\\.)*+\Z", re.IGNORECASE | re.DOTALL)


def without_reasoning_fields(text: str) -> str | None:
    """`text` without the fields of reasoning of the JSON that it is; None when it ends within such a field.

    The text of a field of an answer, where one stands beside them; otherwise the JSON of the other fields. Of a list
    of parts with a type ({"type": "thinking"}, {"type": "text"}), the texts of the parts that are no reasoning. JSON
    that is nothing but reasoning, and all else, is given back as it is.
    """
    fence = _FENCE.match(text)
    if fence is None:
        return text
    if _CUT.match(text, fence.end()):
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(text, fence.end())
    except (ValueError, RecursionError):
        return text
    if text[end:].strip().strip("`"):
        return text
    if isinstance(value, list):
        return _parts(value) or text
    fields = {key: field for key, field in value.items() if not _REASONING.fullmatch(key)}
    if not fields or len(fields) == len(value):
        return text
    answers = [field for key, field in fields.items() if _ANSWER.fullmatch(key)]
    if len(answers) == 1:
        return answers[0] if isinstance(answers[0], str) else json.dumps(answers[0], ensure_ascii=False)
    return json.dumps(fields, ensure_ascii=False)


def _parts(parts: list[Any]) -> str:
    if not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        return ""
    rest = [part for part in parts if not _REASONING.fullmatch(part["type"])]
    texts = [part["text"] for part in rest if isinstance(part.get("text"), str)]
    return "\n".join(texts) if len(rest) < len(parts) and len(texts) == len(rest) else ""
