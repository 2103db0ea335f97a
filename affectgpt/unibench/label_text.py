"""How a written set of labels is read: as the official MER-UniBench scripts read it, character for character."""

from __future__ import annotations

from typing import Any

from affectgpt.data.csv_table import split_labels
from affectgpt.registry.errors import DataError
from affectgpt.registry.messages import short_repr


def parse_labels(value: Any) -> list[str]:
    """The labels of a cell, stripped, in order, not lower-cased: `"[happy, 'sad']"` gives `["happy", "sad"]`.

    A list is taken as it is; None and NaN are the empty set. Of a text one leading `[` and one trailing `]` are
    dropped, and it is split at each `'`, `"` and `,` (so `don't` in a text becomes `don` and `t`, and a full-width
    comma does not split). This is `string_to_list` of the official scripts (MERTools, toolkit/utils/functions.py).

    Raises DataError for a lone `[` and for what is neither text, list nor empty: the official scripts stop there too.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        odd = [item for item in value if not isinstance(item, str)]
        if odd:
            raise DataError("a label is not a text", found=short_repr(odd[0]), expected="a list of texts")
        return value
    if value is None or (isinstance(value, float) and value != value):
        return []
    if not isinstance(value, str):
        raise DataError(
            "a set of labels is neither a text nor a list",
            found=f"{type(value).__name__} {short_repr(value)}",
            expected='"[happy, sad]" or ["happy", "sad"]',
        )
    return [piece for piece in map(str.strip, split_set(value)) if piece]


def split_set(text: str) -> list[str]:
    """The raw pieces of a written set, blanks and empty ones included. Raises DataError for a lone `[`."""
    if text == "[":
        raise DataError("a set of labels is a lone bracket", found="'['", expected='"[]" for the empty set')
    return split_labels(text)
