"""Read a JSON object that somebody else may have written: a plain file, of a bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20


def read_json_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a JSON file, UTF-8. Links are followed.

    Raises ValueError for a device, a pipe or a folder, for a file larger than `most_bytes`, and for what is not JSON,
    is nested too deeply or holds no object; OSError when the file cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("this is not a plain file")
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    try:
        values = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    return values
