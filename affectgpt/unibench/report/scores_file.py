"""A result as JSON and back. Reading is strict: what is missing, unknown or of another type is named."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from affectgpt.registry.errors import DataError
from affectgpt.unibench.result import BenchmarkResult, Confusion, DatasetResult

LARGEST = 512 * 1024 * 1024
"""The largest file that is read, in bytes."""


def render_json(result: BenchmarkResult) -> str:
    """`result` as a JSON text; DataError when it holds a number that JSON cannot (NaN, infinity) or another object."""
    try:
        text = json.dumps(result.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            "the result cannot be written as JSON", found=str(error), expected="finite numbers, texts, lists and dicts"
        ) from error
    # A lone surrogate has no UTF-8; as a JSON escape it comes back as it was.
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def read_result(path: str | Path) -> BenchmarkResult:
    """The result that [render_json][] wrote to `path`.

    Raises DataError when the file cannot be read, is not JSON, or is not exactly such a result: every key must be
    there and no other, of the right type, and numbers finite.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise DataError("the file is too large", where=str(path), expected=f"at most {LARGEST:,} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError("the scores cannot be read", where=str(path), found=str(error)) from error
    return parse_result(text, str(path))


def parse_result(text: str, where: str) -> BenchmarkResult:
    """[read_result][] of a text; `where` names it in errors."""
    try:
        value = json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise DataError("this is not JSON", where=where, found=str(error)) from error
    try:
        result = _build(BenchmarkResult, value, "scores")
    except RecursionError as error:
        raise DataError("the values are nested too deeply", where=where) from error
    except _WrongError as wrong:
        raise DataError(
            "this is not a result of the benchmark",
            where=f"{where}: {wrong.place}",
            found=wrong.found,
            expected=wrong.expected,
            hint="score the predictions again",
        ) from wrong
    assert isinstance(result, BenchmarkResult)
    return result


class _WrongError(Exception):
    def __init__(self, place: str, found: str, expected: str) -> None:
        self.place, self.found, self.expected = place, found, expected


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made


def _build(kind: Any, value: Any, place: str) -> Any:
    """`value`, as JSON gives it, as the type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return _any(value, place)
    if is_dataclass(kind):
        return _dataclass(kind, value, place)
    if origin in (Union, types.UnionType):
        (other,) = (each for each in inner if each is not type(None))
        return None if value is None else _build(other, value, place)
    if origin in (list, tuple):
        _expect(isinstance(value, list), place, value, "a list")
        return origin(_build(inner[0], each, f"{place}[{index}]") for index, each in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), place, value, "an object")
        return {key: _build(inner[1], each, _inside(place, key)) for key, each in value.items()}
    return _PLAIN[kind](value, place)


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    _expect(isinstance(value, dict), place, value, "an object")
    names = [each.name for each in fields(kind)]
    unknown, missing = sorted(set(value) - set(names)), [name for name in names if name not in value]
    _expect(not missing, place, value, "the key " + ", ".join(missing), found="no such key")
    _expect(not unknown, place, value, "only " + ", ".join(names), found="the key " + ", ".join(unknown)[:200])
    hints = get_type_hints(kind)
    made = kind(**{name: _build(hints[name], value[name], _inside(place, name)) for name in names})
    _consistent(made, place)
    return made


def _consistent(made: Any, place: str) -> None:
    if isinstance(made, DatasetResult):
        _expect(made.primary in made.figures, _inside(place, "primary"), made.primary, "the name of a figure")
        counts = [made.clips, *made.excluded.values()]
        _expect(min(counts) >= 0, place, min(counts), "numbers of clips of at least 0")
    if isinstance(made, Confusion):
        lowest = min((count for row in made.counts.values() for count in row.values()), default=0)
        _expect(lowest >= 0, _inside(place, "counts"), lowest, "counts of at least 0")


def _inside(place: str, key: str) -> str:
    return f"{place}.{key[:60]}"


def _expect(holds: bool, place: str, value: Any, expected: str, found: str = "") -> None:
    if not holds:
        raise _WrongError(place, found or f"{value!r:.80}", expected)


def _plain(kind: type, expected: str) -> Callable[[Any, str], Any]:
    def read(value: Any, place: str) -> Any:
        _expect(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), place, value, expected)
        return value

    return read


def _float(value: Any, place: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(number and abs(value) < 1e12 and math.isfinite(value), place, value, "a finite number")
    return float(value)


def _any(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {key: _any(each, _inside(place, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_any(each, place) for each in value]
    return _float(value, place) if isinstance(value, float) else value


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    str: _plain(str, "a text"),
    bool: _plain(bool, "true or false"),
    int: _plain(int, "a whole number"),
    float: _float,
}
