"""The last line of a model card that was generated: a hash of what stands above it, so that a change by hand shows."""

from __future__ import annotations

import hashlib
from pathlib import Path


def marked(text: str) -> str:
    """`text` with its mark."""
    return f"{text}<!-- affectgpt card {hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def is_generated(path: Path) -> bool:
    """Whether `path` holds a marked text, not changed since."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    body, _, _ = text.rpartition("<!-- ")
    return bool(body) and text == marked(body)
