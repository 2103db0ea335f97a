"""The clips that a path names: a manifest, or a folder in the MER2025 layout."""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.example import Example
from affectgpt.data.manifest import read_manifest
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.registry.errors import DataError


def read_examples(path: str | Path) -> list[Example]:
    """The clips of a manifest ([read_manifest][]) or of a MER2025 folder ([read_mer2025][]). Raises DataError."""
    path = Path(path)
    if not path.exists():
        raise DataError("there is no such file or folder", where=str(path), expected="a manifest or a dataset folder")
    return read_mer2025(path) if path.is_dir() else read_manifest(path)
