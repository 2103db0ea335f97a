"""Rows of Parquet files that are not trusted: a file of a kilobyte may unfold to gigabytes of text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affectgpt.registry.errors import DataError

LONGEST_CELL = 1_000_000
"""Bytes of one text."""
LARGEST_TEXT = 2**29
"""Bytes of all texts, each as often as it stands in a row."""
LARGEST_FILE = 2**30
"""Bytes of the file when it is unpacked, as it states."""
MOST_VALUES = 50_000_000

_BATCH = 50


def parquet_rows(path: Path, columns: Collection[str], *, most: int) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """The names of all columns, and the rows with those of `wanted` only, read as they are asked for.

    Cells are texts, numbers, bools, None and lists of these. Raises DataError, also while rows are read, when pyarrow
    is missing, for a damaged file, columns of another type, more than `most` rows, and above the limits of this module.
    """
    if not path.is_file():
        raise DataError("is a folder, a device or a pipe", where=str(path), expected="a Parquet file")
    with _open_parquet(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
        if metadata.num_rows > most:
            raise DataError("too many clips", where=str(path), expected=f"at most {most:,}")
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        values = sum(group.column(number).num_values for group in groups for number in range(group.num_columns))
        if size > LARGEST_FILE or values > MOST_VALUES:
            raise DataError(
                "is too large",
                where=str(path),
                found=f"{size:,} bytes in {values:,} values when unpacked",
                expected=f"at most {LARGEST_FILE:,} bytes and {MOST_VALUES:,} values",
            )
        for field in schema:
            if field.name in columns and not _is_simple(field.type):
                raise DataError(
                    f"the column {field.name} is of another type",
                    where=str(path),
                    found=str(field.type)[:80],
                    expected="texts, numbers, or lists of texts",
                )
        leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        return schema.names, _rows(path, [name for name in schema.names if name in columns], texts)


@contextmanager
def _open_parquet(path: Path, texts: Collection[str] = ()) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "pyarrow is needed to read Parquet",
            where=str(path),
            hint="pip install 'affectgpt[parquet]', or write the manifest as CSV",
        ) from None
    try:
        # Each text once, whatever the number of rows that it stands in.
        with parquet.ParquetFile(path, read_dictionary=list(texts)) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DataError("cannot be read", where=str(path), found=str(error)[:200], expected="a Parquet file") from None


def _rows(path: Path, columns: list[str], texts: list[str]) -> Iterator[dict[str, Any]]:
    total = 0
    with _open_parquet(path, texts) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                longest, total_bytes = _text_bytes(column)
                total += total_bytes
                if longest > LONGEST_CELL or total > LARGEST_TEXT:
                    raise DataError(
                        "texts that are too long",
                        where=f"{path}, column {name}",
                        found=f"one of {longest:,} bytes, {total:,} in all so far",
                        expected=f"at most {LONGEST_CELL:,} bytes each and {LARGEST_TEXT:,} in all",
                    )
            yield from batch.to_pylist()


def _text_bytes(column: Any) -> tuple[int, int]:
    """Bytes of the longest text that `column` refers to, and of all, each as often as it stands there."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_list(column.type) or pyarrow.types.is_large_list(column.type):
        column = column.flatten()
    if not pyarrow.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0, 0
    lengths = compute.binary_length(column.dictionary).cast("int64").take(column.indices)
    return compute.max(lengths).as_py() or 0, compute.sum(lengths).as_py() or 0


def _is_simple(kind: Any) -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        (
            _is_text(kind),
            types.is_integer(kind),
            types.is_floating(kind),
            types.is_boolean(kind),
            types.is_null(kind),
            types.is_decimal(kind),
        )
    )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))
