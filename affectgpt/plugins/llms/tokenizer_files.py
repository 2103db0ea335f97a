"""What `tokenizer.json` says, read before a tokenizer is built from it. No transformers.

A file that somebody else made can ask for endless work: what it makes of one letter is bounded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import CheckpointError
from affectgpt.registry.messages import reason

END = "<|im_end|>"
"""The end marker of the tokenizer of bytes."""
BYTE_IDS = 257
_MOST_GROWTH = 64
_LARGEST_TEMPLATE = 1024 * 1024
_LARGEST_SECTION = 16 * 1024 * 1024


def largest_id(file: Path) -> int:
    """The largest id in the vocabulary of a `tokenizer.json`. Raises CheckpointError when it cannot be read."""
    return _largest_id(file, file.stat().st_mtime_ns)


@cache
def _largest_id(file: Path, changed: int) -> int:
    values = _read(file)
    model = values.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    added = values.get("added_tokens")
    ids = (
        [token["id"] for token in added if isinstance(token, dict) and isinstance(token.get("id"), int)]
        if added
        else []
    )
    if isinstance(vocabulary, dict):
        ids += [number for number in vocabulary.values() if isinstance(number, int)]
    elif isinstance(vocabulary, list):
        ids.append(len(vocabulary) - 1)
    return max(ids, default=-1)


def check_growth(file: Path) -> None:
    """Raise CheckpointError when the replacements of a `tokenizer.json` multiply: 10 that write ten letters for one
    make 10^10 letters of one.
    """
    values = _read(file)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        growth = 1.0
        for step in _steps(values.get(part)):
            growth *= _growth(step)
            if growth > _MOST_GROWTH:
                raise CheckpointError(
                    f"the {part} of this tokenizer makes too much of one letter",
                    where=str(file),
                    found=f"more than {_MOST_GROWTH} letters",
                    expected=f"replacements that make at most {_MOST_GROWTH} letters of one, together",
                    hint="do not use a model whose author you do not trust",
                )


def turn_markers(folder: Path) -> list[str] | None:
    """The special tokens that the chat template of a model folder names, in its order; None without a template.

    The template is a program that somebody else wrote: it is searched as text, and never run.
    """
    template = _chat_template(folder)
    if template is None:
        return None
    try:
        added = _read(folder / "tokenizer.json").get("added_tokens")
    except CheckpointError:
        added = None
    begin = _section(folder / "tokenizer_config.json").get("bos_token")
    tokens = [token.get("content") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    names = [token for token in tokens if isinstance(token, str) and token and token != begin and token in template]
    return sorted(dict.fromkeys(names), key=template.index)


def _chat_template(folder: Path) -> str | None:
    """The text of the chat template, in the files of today's library and of older ones; the first of several."""
    file = folder / "chat_template.jinja"
    try:
        if file.is_file() and file.stat().st_size <= _LARGEST_TEMPLATE:
            return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _section(folder / name).get("chat_template")
        if isinstance(template, list) and template and isinstance(template[0], dict):
            template = template[0].get("template")
        if isinstance(template, str) and template:
            return template[:_LARGEST_TEMPLATE]
    return None


def _section(file: Path) -> dict[str, Any]:
    """A file that may be absent or damaged, which whoever builds the tokenizer says."""
    try:
        return _read(file) if file.is_file() and file.stat().st_size <= _LARGEST_SECTION else {}
    except (OSError, CheckpointError):
        return {}


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for name in ("normalizers", "pretokenizers", "decoders"):
            for inner in part.get(name) or ():
                yield from _steps(inner)


def _growth(step: dict[str, Any]) -> float:
    """How many letters a step makes of one at most."""
    texts = [text for key in ("content", "prepend") if isinstance(text := step.get(key), str)]
    if step.get("type") == "Replace" and texts:
        pattern = step.get("pattern")
        plain = pattern.get("String") if isinstance(pattern, dict) else None
        # A pattern can match nothing at all, before every letter.
        return max(1.0, len(texts[0]) / len(plain)) if plain else 1.0 + len(texts[0])
    return 1.0 + max(map(len, texts), default=0)


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError("the tokenizer cannot be read", where=str(file), found=reason(error)) from error
    if not isinstance(values, dict):
        raise CheckpointError("the tokenizer cannot be read", where=str(file), expected="a JSON object")
    return values
