"""The code blocks of README and docs: commands of consoles, Python, and files that a block shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "commands.yaml"
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:py|yaml|csv|jsonl))`:\s*$")


@dataclass(frozen=True)
class Step:
    """One thing of a page to run: a `command`, a `python` block, or a `file` to be written."""

    page: str
    kind: str
    text: str
    name: str
    """The command itself, `PAGE#N` for the N-th Python block of a page, or the path of a file."""


def pages() -> list[str]:
    """README and the pages of `docs/`, as paths from the repository."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", *found]


def steps_of(page: str) -> Iterator[Step]:
    """What a page shows, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    count = 0
    for match in _FENCE.finditer(text):
        language, code = match.group(2), dedent(match.group(3))
        file = _FILE.search(text[: match.start()].rstrip())
        if file is not None and language not in ("console", ""):
            yield Step(page, "file", code, file.group(1))
        elif language == "python":
            count += 1
            yield Step(page, "python", code, f"{page}#{count}")
        elif language == "console" or code.startswith("$ "):
            yield from (Step(page, "command", command, command) for command in commands_in(code))


def commands_in(code: str) -> Iterator[str]:
    """The commands of a console block, each on one line, without comments and output."""
    joined = re.sub(r"\\\n\s*", " ", code)
    for line in joined.splitlines():
        if line.startswith("$ "):
            yield " ".join(re.sub(r"\s+# .*$", "", line[2:]).split())


@dataclass(frozen=True)
class Entry:
    """What is done instead of a step: `run` something else, expect another exit `code`, or nothing for a `reason`."""

    run: str | None = None
    code: int = 0
    reason: str = ""


def read_list() -> tuple[dict[str, Entry], dict[str, list[str]]]:
    """The entries of `commands.yaml` by the name of their step, and the prepared folders that each page needs."""
    content: dict[str, Any] = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    entries: dict[str, Entry] = {}
    for row in content["steps"]:
        name = " ".join(str(row.pop("step")).split())
        if name in entries:
            raise ValueError(f"{LIST.name}: two entries for: {name}")
        entries[name] = Entry(**row)
    return entries, content["needs"]
