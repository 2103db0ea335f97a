"""What a number of an `architecture` may be, by the words of its key's name. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LARGEST = 2**31 - 1
_ENDS_OF_SIZES = ("size", "dim", "heads", "length", "step")
# A word of a number's name -> what the number must be; the first rule with one of its words counts. Sizes are the rest.
_NUMBERS: tuple[tuple[frozenset[str], str, Callable[[float], bool]], ...] = (
    (frozenset({"id", "ids", "idx"}), "not be negative", lambda number: number >= 0),
    (
        frozenset({"dropout", "drop", "pdrop", "layerdrop", "prob"}),
        "be from 0 to below 1",
        lambda number: 0 <= number < 1,
    ),
    # Before the epsilons: `moe_jitter_eps` is a range of noise, and 0 is none.
    (frozenset({"noise", "jitter"}), "not be negative", lambda number: number >= 0),
    (frozenset({"eps", "epsilon"}), "be above 0, and at most 1", lambda number: 0 < number <= 1),
    (frozenset({"init", "initializer", "std"}), "be from 0 to 100", lambda number: 0 <= number <= 100),
    (frozenset({"partial", "pct", "fraction"}), "be above 0, and at most 1", lambda number: 0 < number <= 1),
    (
        # What there can be none of, places, and weights of a loss.
        frozenset({"coef", "coefficient", "loss", "alpha", "shared", "dense", "nextn", "mtp"})
        | {"offset", "feed", "seed", "input", "token", "index", "start", "end", "zero", "chunk", "max_window_layers"},
        "not be negative",
        lambda number: number >= 0,
    ),
)


def broken_rule(key: str, value: float, default: Any) -> str:
    """What a number under `key` must be and `value` is not; "" for one that may stand there."""
    if abs(value) > LARGEST and isinstance(value, int):
        return f"be at most {LARGEST:,}"
    words = key.split("_")
    for rule_words, must, holds in _NUMBERS if words[-1] not in _ENDS_OF_SIZES else ():
        if rule_words & {*words, key}:
            return "" if holds(value) else must
    if default is not None and default < 0:
        return ""
    if default == 0:
        return "" if value >= 0 else "not be negative"
    return "" if value > 0 else "be above 0"
