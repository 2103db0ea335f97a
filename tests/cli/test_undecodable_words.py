"""Words of the command line that are no UTF-8: a path may be so, a text is refused, and no message fails at them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from affectgpt.cli.main import application

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "configs" / "tiny.yaml")
WORD = os.fsdecode(b"a\xffb")
NUMBERS = {"INTEGER", "FLOAT", "BOOLEAN"}


def words() -> Iterator[list[str]]:
    """For each place of each command that takes any word: a command line with one that is no UTF-8 there."""
    queue: list[tuple[list[str], Any]] = [([], typer.main.get_command(application()))]
    while queue:
        names, command = queue.pop()
        queue += [([*names, name], child) for name, child in getattr(command, "commands", {}).items()]
        for changed in command.params:
            if getattr(changed, "is_flag", False) or changed.name == "version":
                continue
            line = list(names)
            for parameter in command.params:
                if parameter is changed or parameter.required:
                    option = parameter.opts[0]
                    line += [*([option] if option.startswith("-") else []), WORD if parameter is changed else "x"]
            yield line


LINES = sorted(words())


def test_every_command_takes_words() -> None:
    assert {line[0] for line in LINES} >= {"check", "describe", "generate", "score", "train", "plugins", "synth"}


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(1, 8))])
def test_no_message_fails_at_such_a_word(
    first: int, run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in LINES[first::8]:
        folder = tmp_path / str(LINES.index(line))
        folder.mkdir()
        monkeypatch.chdir(folder)
        if line[0] in ("synth", "demo", "env") or line[:2] == ["weights", "get"]:
            # These would do what they are asked for.
            continue
        outcome = run(*line)
        text = outcome.out + outcome.err
        assert outcome.code in (0, 1, 2), (line, text)
        assert "Traceback" not in text and "UnicodeEncodeError" not in text and "--debug" not in text, (line, text)


@pytest.mark.parametrize("option", ["--subtitle", "--question"])
def test_a_text_that_is_no_utf_8_is_refused(option: str, run: Callable, tmp_path: Path) -> None:
    clip = ROOT / "examples" / "clips" / "astronaut_voice.mp4"
    outcome = run("describe", clip, option, WORD, "--workers", "0")
    assert outcome.code == 2 and f"error: {option}: the {option[2:]} holds bytes that are no UTF-8" in outcome.err
    assert r"a\udcffb" in outcome.err


def test_a_path_that_is_no_utf_8_is_described(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples" / "clips" / "astronaut_voice.mp4", f"{WORD}.mp4")
    outcome = run("describe", f"{WORD}.mp4", "--json", "--workers", "0")
    assert outcome.code == 0, outcome.err
    (row,) = json.loads(outcome.out)
    assert os.fsencode(row["file"]) == b"a\xffb.mp4" or r"a\udcffb" in row["file"]
