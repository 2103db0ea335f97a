"""The architecture page shows the layers of pyproject.toml, and a row for each room."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")


def exists(room: str) -> bool:
    return (ROOT / "affectgpt" / room).is_dir() or (ROOT / "affectgpt" / f"{room}.py").exists()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_the_layers_are_those_of_pyproject() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    block = PAGE.split("```text\n")[1].split("```")[0]
    rows = [" | ".join(name for name in re.findall(r"\w+", layer) if exists(name)) for layer in layers]
    assert block.splitlines() == [row for row in rows if row]


def test_each_room_has_a_row() -> None:
    rooms = {path.parent.name for path in (ROOT / "affectgpt").glob("*/__init__.py")}
    table = PAGE.split("| room | what it holds |")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == rooms
