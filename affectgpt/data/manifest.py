"""Reads a list of one's own clips: a CSV, JSON Lines or Parquet file with one clip a row.

clip          the media file, from the manifest's folder (required)
id            its name in results, each once (default: the file's name without its suffix)
subtitle      what is said
labels        emotion words: a list, or a text such as "[happy, relieved]"
sentiment     a number, negative to positive
description   the text that a model is trained to give
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from affectgpt.data.csv_table import is_safe_name, open_text, parse_labels, rows
from affectgpt.data.example import Example, ReadReport
from affectgpt.data.parquet_rows import parquet_rows
from affectgpt.registry.errors import DataError, Problem, join_names
from affectgpt.registry.messages import count_and_first, did_you_mean, short_repr

COLUMNS = ("clip", "id", "subtitle", "labels", "sentiment", "description")
SUFFIXES = (".csv", ".jsonl", ".parquet")
MAX_CLIPS = 5_000_000

_LONGEST_LINE = 10_000_000
_Row = tuple[str, dict[str, Any]]


def read_manifest(path: str | Path, *, allow_outside: bool = False) -> list[Example]:
    """The clips that `path` lists, in its order; its suffix (one of [SUFFIXES][]) says its format.

    A relative clip lies in the manifest's folder or below it, where links lead included, and holds no `..`; an
    absolute one is taken as it stands. With `outside=True` a relative one may also lead out of the folder. CSV and JSON
    Lines are in UTF-8 or GB 18030.

    Raises DataError with every problem found: no such file, an unknown format or column, no column clip, a value of
    the wrong kind, a clip that is not there or outside the folder, an id that repeats or is no plain file name.
    """
    return survey_manifest(path, allow_outside=allow_outside).examples_or_raise()


def survey_manifest(path: str | Path, *, allow_outside: bool = False) -> ReadReport:
    """As [read_manifest][], but problems with rows are given back. Raises DataError when the file cannot be read."""
    path = Path(path)
    readers: dict[str, Callable[[Path], Iterator[_Row]]] = {
        ".csv": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
    }
    if path.suffix.lower() not in readers:
        raise DataError(
            "this is no manifest",
            where=str(path),
            found=f"the suffix {path.suffix!r}",
            expected=f"a file in one of {', '.join(SUFFIXES)}",
        )
    if not path.exists():
        raise DataError("there is no such file", where=str(path), expected="a manifest: one clip a row")
    reader = _ManifestReader(path, allow_outside)
    for location, row in readers[path.suffix.lower()](path):
        reader.add(location, row)
        if reader.rows > MAX_CLIPS:
            raise DataError("too many clips", where=str(path), expected=f"at most {MAX_CLIPS:,}")
    return reader.survey()


class _ManifestReader:
    def __init__(self, path: Path, allow_outside: bool) -> None:
        self.path, self.allow_outside = path, allow_outside
        self.folder = os.path.realpath(path.parent)
        self.examples: list[Example] = []
        self.ids: set[str] = set()
        self.rows = 0
        self.invalid_items: dict[tuple[str, str, str], list[str]] = {}

    def add(self, location: str, row: dict[str, Any]) -> None:
        self.rows += 1
        for column in row.keys() - set(COLUMNS):
            hint = did_you_mean(column[:80], COLUMNS) or "leave it out"
            self.note(f"an unknown column {column[:80]!r}", f"columns among {', '.join(COLUMNS)}", location, hint)
        video = self.video(location, row.get("clip"))
        if video is None:
            return
        name = self.text(location, row, "id") or video.stem
        if not is_safe_name(name):
            self.note(
                "ids that are not plain file names",
                "no / \\ : or .., nothing unseen, at most 255 characters",
                f"{location}: {short_repr(name)}",
            )
        elif name in self.ids:
            self.note("ids that repeat", "each id once", name, "give each clip an id of its own in the column id")
        self.ids.add(name)
        self.examples.append(
            Example(
                name,
                video,
                self.text(location, row, "subtitle"),
                self.labels(location, row.get("labels")),
                self.text(location, row, "description"),
                self.sentiment(location, row.get("sentiment")),
            )
        )

    def video(self, location: str, value: Any) -> Path | None:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.note("rows without a clip", "a path in the column clip", f"{location}: {short_repr(value)}")
            return None
        path = Path(value.strip())
        resolved = self.path.parent / path
        description = f"{location}: {value.strip()[:200]}"
        if not path.is_absolute() and not self.allow_outside and (".." in path.parts or not self.is_inside(resolved)):
            self.note(
                "clips outside the manifest's folder",
                f"paths below {self.path.parent}, without ..",
                description,
                "write an absolute path, or move the manifest",
            )
            return None
        if not _is_file(resolved):
            self.note("clips that are not there", f"files below {self.path.parent}", description)
            return None
        return resolved

    def is_inside(self, path: Path) -> bool:
        # Where links lead counts, not where they lie.
        try:
            return Path(os.path.realpath(path)).is_relative_to(self.folder)
        except (OSError, ValueError):
            return True

    def text(self, location: str, row: dict[str, Any], column: str) -> str:
        value = row.get(column)
        if value is None or isinstance(value, str):
            return (value or "").strip()
        self.note(f"a {column} that is no text", "a text", f"{location}: {short_repr(value)}")
        return ""

    def labels(self, location: str, value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(parse_labels(value))
        if isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value):
            return tuple(dict.fromkeys(item.strip() for item in value))
        self.note(
            "labels that are no list of words", "a list, or a text like [a, b]", f"{location}: {short_repr(value)}"
        )
        return ()

    def sentiment(self, location: str, value: Any) -> float | None:
        if value is None or value == "":
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
        self.note("sentiments that are no numbers", "a number", f"{location}: {short_repr(value)}")
        return None

    def note(self, what: str, expected: str, item: str, hint: str = "") -> None:
        self.invalid_items.setdefault((what, expected, hint), []).append(item)

    def survey(self) -> ReadReport:
        if not self.examples and not self.invalid_items:
            self.note("there is no clip", "one clip a row", "no row")
        problems = [
            Problem(what, str(self.path), count_and_first(items), expected, hint)
            for (what, expected, hint), items in self.invalid_items.items()
        ]
        return ReadReport(self.examples, self.rows, problems)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _no_clip_column(path: Path, columns: list[str]) -> DataError:
    return DataError(
        "no column clip",
        where=str(path),
        found=f"columns {join_names(columns)}"[:200],
        expected=f"clip, and any of {', '.join(COLUMNS[1:])}",
        hint=did_you_mean("clip", columns),
    )


def _csv_rows(path: Path) -> Iterator[_Row]:
    with open_text(path) as file:
        for line, row in rows(file, path, require_complete=True):
            if "clip" not in row:
                raise _no_clip_column(path, list(row))
            yield f"line {line}", dict(row)


def _json_rows(path: Path) -> Iterator[_Row]:
    with open_text(path) as file:
        number = 0
        while text := file.readline(_LONGEST_LINE):
            number += 1
            if len(text) >= _LONGEST_LINE:
                raise DataError(
                    "a line is too long",
                    where=f"{path}, line {number}",
                    expected=f"at most {_LONGEST_LINE:,} characters",
                )
            if not text.strip():
                continue
            try:
                row = json.loads(text, object_pairs_hook=_unique)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    "a line is no JSON",
                    where=f"{path}, line {number}",
                    found=str(error)[:200],
                    expected='{"clip": "a.mp4", ...}',
                ) from None
            if not isinstance(row, dict):
                raise DataError(
                    "a line is no JSON object",
                    where=f"{path}, line {number}",
                    found=type(row).__name__,
                    expected='{"clip": "a.mp4", ...}',
                )
            yield f"line {number}", row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key that repeats")
    return row


def _parquet_rows(path: Path) -> Iterator[_Row]:
    columns, rows = parquet_rows(path, COLUMNS, most=MAX_CLIPS)
    if "clip" not in columns:
        raise _no_clip_column(path, columns)
    unknown = dict.fromkeys(set(columns) - set(COLUMNS))
    for number, row in enumerate(rows, 1):
        yield f"row {number}", {**unknown, **row}
