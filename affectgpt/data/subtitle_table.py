"""The table of subtitles that lies beside the clips of a data set."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from affectgpt.data.csv_table import read_column
from affectgpt.registry.errors import Problem
from affectgpt.registry.messages import count_and_first, short_repr


def read_subtitles(path: Path, column: str, names: Collection[str], problems: list[Problem]) -> dict[str, str]:
    """Name -> subtitle of the clips `names` that have a row; empty without a table.

    Adds the problems of [read_column][], and one when the table has rows and none of them is of a clip: it is that of
    another data set, or writes the names in another way.
    """
    rows = read_column(path, column, problems) or {}
    subtitles = {name: rows[name] for name in names if name in rows}
    if rows and names and not subtitles:
        problems.append(
            Problem(
                "no subtitle is of a clip",
                str(path),
                count_and_first([short_repr(name) for name in rows]),
                f"names such as {short_repr(next(iter(names)))}",
                "is this the table of this data set?",
            )
        )
    return subtitles
