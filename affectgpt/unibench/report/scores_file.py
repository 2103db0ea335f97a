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
            where=f"{where}: {wrong.location}",
            found=wrong.actual,
            expected=wrong.expected,
            hint="score the predictions again",
        ) from wrong
    assert isinstance(result, BenchmarkResult)
    return result


class _WrongError(Exception):
    def __init__(self, location: str, actual: str, expected: str) -> None:
        self.location, self.actual, self.expected = location, actual, expected


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key is there twice")
    return record


def _build(kind: Any, value: Any, location: str) -> Any:
    """`value`, as JSON gives it, as the type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return _any(value, location)
    if is_dataclass(kind):
        return _dataclass(kind, value, location)
    if origin in (Union, types.UnionType):
        (value_type,) = (member for member in inner if member is not type(None))
        return None if value is None else _build(value_type, value, location)
    if origin in (list, tuple):
        _expect(isinstance(value, list), location, value, "a list")
        return origin(_build(inner[0], item, f"{location}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), location, value, "an object")
        return {key: _build(inner[1], item, _inside(location, key)) for key, item in value.items()}
    return _PLAIN[kind](value, location)


def _dataclass(kind: Any, value: Any, location: str) -> Any:
    _expect(isinstance(value, dict), location, value, "an object")
    names = [each.name for each in fields(kind)]
    unknown, missing = sorted(set(value) - set(names)), [name for name in names if name not in value]
    _expect(not missing, location, value, "the key " + ", ".join(missing), actual="no such key")
    _expect(not unknown, location, value, "only " + ", ".join(names), actual="the key " + ", ".join(unknown)[:200])
    hints = get_type_hints(kind)
    instance = kind(**{name: _build(hints[name], value[name], _inside(location, name)) for name in names})
    _consistent(instance, location)
    return instance


def _consistent(instance: Any, location: str) -> None:
    if isinstance(instance, DatasetResult):
        _expect(
            instance.primary in instance.figures, _inside(location, "primary"), instance.primary, "the name of a figure"
        )
        counts = [instance.clips, *instance.excluded.values()]
        _expect(min(counts) >= 0, location, min(counts), "numbers of clips of at least 0")
    if isinstance(instance, Confusion):
        lowest = min((count for row in instance.counts.values() for count in row.values()), default=0)
        _expect(lowest >= 0, _inside(location, "counts"), lowest, "counts of at least 0")


def _inside(location: str, key: str) -> str:
    return f"{location}.{key[:60]}"


def _expect(holds: bool, location: str, value: Any, expected: str, actual: str = "") -> None:
    if not holds:
        raise _WrongError(location, actual or f"{value!r:.80}", expected)


def _plain_reader(kind: type, expected: str) -> Callable[[Any, str], Any]:
    def read(value: Any, location: str) -> Any:
        _expect(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), location, value, expected)
        return value

    return read


def _float(value: Any, location: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(number and abs(value) < 1e12 and math.isfinite(value), location, value, "a finite number")
    return float(value)


def _any(value: Any, location: str) -> Any:
    if isinstance(value, dict):
        return {key: _any(item, _inside(location, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_any(item, location) for item in value]
    return _float(value, location) if isinstance(value, float) else value


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    str: _plain_reader(str, "a text"),
    bool: _plain_reader(bool, "true or false"),
    int: _plain_reader(int, "a whole number"),
    float: _float,
}
