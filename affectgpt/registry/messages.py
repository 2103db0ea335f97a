"""Parts of error messages: a short `repr` of untrusted values, counts, settings by path, near misses. No numpy."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any


class _Short(reprlib.Repr):
    # Chosen by the name of a value's type. What is not named here or by reprlib is written out whole, then cut.
    repr_bytes = repr_bytearray = repr_str_ = repr_bytes_ = reprlib.Repr.repr_str

    def repr_ndarray(self, value: Any, level: int) -> str:
        return f"an array of shape {list(value.shape)}"


_SHORT = _Short()
_SHORT.maxlevel = 3
_LONGEST = 200


def short_repr(value: Any) -> str:
    """`value` as Python writes it, cut to some 30 characters a text, 6 items a list, 3 levels and 200 characters."""
    return _SHORT.repr(value)[:_LONGEST]


def count_and_first(items: Sequence[str], between: str = ", ") -> str:
    """How many `items` there are, and the first five."""
    return f"{len(items)}: {between.join(items[:5])}{', ...' if len(items) > 5 else ''}"


def first_and_more(names: Sequence[str], most: int = 5) -> str:
    """The first `most` of `names`, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def flatten(tree: Any, name: str = "") -> dict[str, Any]:
    """A tree of dicts as one dict, for messages that name settings: `{"a": {"b": 1}}` gives `{"a.b": 1}`."""
    if not isinstance(tree, dict) or not tree:
        return {name: tree}
    return {
        key: value
        for part, branch in tree.items()
        for key, value in flatten(branch, f"{name}.{part}" if name else str(part)).items()
    }


def one_line(error: BaseException) -> str:
    """An exception in one line: its type and its message."""
    text = reason(error)
    return f"{type(error).__name__}: {text}" if str(error).strip() else text


def reason(error: BaseException) -> str:
    """The whole message of an exception in one line, cut to 500 characters; its type where it has none.

    Libraries often tell what is wrong only after the first line.
    """
    text = " ".join(str(error).split())
    return (text if len(text) <= 500 else text[:500] + "...") or type(error).__name__


def is_panic(error: BaseException) -> bool:
    """Whether `error` is a panic of code in Rust, such as a tokenizer: it is no Exception."""
    return type(error).__name__ == "PanicException"


def nearest(name: str, names: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` of `names` that resemble `name`, best first; case, "_" and "-" do not count."""
    plain = {_plain(candidate): candidate for candidate in names}
    return [plain[match] for match in difflib.get_close_matches(_plain(name), plain, n=limit, cutoff=0.55)]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """'did you mean "x" or "y"?' for an unknown `name`, or "" when nothing comes near."""
    matches = nearest(name, names)
    return f"did you mean {' or '.join(repr(match) for match in matches)}?" if matches else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
