"""Near misses: what the reader probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` of `known` that resemble `name`, best first; case, "_" and "-" do not count."""
    plain = {_plain(candidate): candidate for candidate in known}
    return [plain[match] for match in difflib.get_close_matches(_plain(name), plain, n=limit, cutoff=0.55)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'did you mean "x" or "y"?' for an unknown `name`, or "" when nothing comes near."""
    matches = nearest(name, known)
    return f"did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
