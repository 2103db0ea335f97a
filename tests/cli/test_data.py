"""`affectgpt data doctor` and `affectgpt synth --layout unibench` as they are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bench(run: Callable, tmp_path: Path) -> Path:
    outcome = run("synth", tmp_path / "bench", "--layout", "unibench", "--clips", 1, "--workers", 1)
    assert outcome.code == 0, outcome.err
    assert "9 test sets of 1 clips" in outcome.out
    return tmp_path / "bench"


@pytest.mark.slow
def test_doctor_and_synth(run: Callable, bench: Path) -> None:
    outcome = run("data", "doctor", bench, "--workers", 1)
    assert outcome.code == 0, outcome.out + outcome.err
    for words in ("MER2023", "OV-MERD+", "all is well", "labels"):
        assert words in outcome.out
    assert "decoding MELD" in outcome.err and "decoding" not in outcome.out

    facts = json.loads(run("data", "doctor", bench, "--no-decode", "--json").out)
    assert facts["healthy"] and len(facts["sets"]) == 9 and facts["sets"][0]["decoded"] is None

    video = next((bench / "meld-process" / "subvideo").glob("test*"))
    video.write_bytes(b"words")
    outcome = run("data", "doctor", bench, "--workers", 1)
    assert outcome.code == 2 and "1 to mend" in outcome.out and str(video) in outcome.out.replace("\n", "")
    assert "Traceback" not in outcome.out + outcome.err
    again = run("data", "doctor", bench / "meld-process", "--json", "--workers", 1)
    assert again.code == 2 and str(video) == json.loads(again.out)["sets"][0]["problems"][0]["where"]
    assert run("data", "doctor", bench, "--no-decode").code == 0

    again = run("synth", bench, "--layout", "unibench", "--clips", 1, "--workers", 1)
    assert again.code == 0 and run("data", "doctor", bench, "--workers", 1).code == 0


def test_doctor_of_the_benchmark(run: Callable, benchmark_folder: Path) -> None:
    outcome = run("data", "doctor", benchmark_folder, "--no-decode")
    assert outcome.code == 0 and "MELD" in outcome.out and "decoding" not in outcome.err
    facts = json.loads(run("data", "doctor", benchmark_folder, "--no-decode", "--json").out)
    assert facts["healthy"] and len(facts["sets"]) == 9 and facts["sets"][0]["decoded"] is None


def test_doctor_of_nothing(workspace: Any, refused: Callable) -> None:
    refused(["data", "doctor", "nowhere"], "nowhere", "no data set is found", "meld-process")
    refused(["data", "doctor", workspace.folder()], "folder", "an empty folder")


def test_doctor_of_a_manifest(run: Callable, workspace: Any) -> None:
    workspace.good_clip()
    workspace.write("mine.jsonl", '{"clip": "clip.mp4", "labels": ["[bold]happy[/bold]"]}\n')
    outcome = run("data", "doctor", "mine.jsonl", "--workers", 1)
    assert outcome.code == 0 and "[bold]happy[/bold] 1" in outcome.out
    workspace.write("mine.csv", "clip\nlost.mp4\n")
    outcome = run("data", "doctor", "mine.csv")
    assert outcome.code == 2 and "lost.mp4" in outcome.out
    assert run("data", "doctor", "mine.csv", "--manifest").code == 2


def test_labels_do_not_command_the_terminal(run: Callable, workspace: Any) -> None:
    workspace.good_clip()
    workspace.write("mine.csv", "clip,labels\nclip.mp4,[\x1b[31mred\x07]\n")
    outcome = run("data", "doctor", "mine.csv", "--no-decode")
    assert outcome.code == 0 and "\ufffd[31mred\ufffd 1" in outcome.out
    assert "\x1b" not in outcome.out and "\x07" not in outcome.out


COMMANDS = "\x1b]0;x\x07\x9b2J\u202e"


def test_nothing_in_a_file_commands_the_terminal(run: Callable, workspace: Any) -> None:
    workspace.good_clip()
    row = {"clip": "clip.mp4", "id": f"a{COMMANDS}", "labels": [f"joy{COMMANDS}\n\nall is well"]}
    rows = [row, {"clip": f"lost{COMMANDS}"}, {"clip": "clip.mp4", f"n{COMMANDS}": 1}, {"clip": "clip.mp4", "id": "b"}]
    for name in ("mine.jsonl", "[red]m\x1b[31m.jsonl"):
        workspace.write(name, "\n".join(map(json.dumps, rows)))
        outcome = run("data", "doctor", name, "--workers", 1)
        assert outcome.code == 2 and "lost" in outcome.out and "decoding" in outcome.err
        assert not set(outcome.out + outcome.err) & {"\x1b", "\x07", "\x9b", "\u202e"}
        assert "all is well" not in outcome.out.splitlines()
    assert "decoding [red]m" in outcome.err


@pytest.mark.parametrize("name", ["gone\x1b[31m\x9b2J\u202e", "a\x07.csv"])
def test_errors_do_not_command_the_terminal(run: Callable, workspace: Any, name: str) -> None:
    outcome = run("data", "doctor", name)
    assert outcome.code == 2 and "\ufffd" in outcome.err
    assert not set(outcome.out + outcome.err) & {"\x1b", "\x07", "\x9b", "\u202e"}
    again = json.loads(run("data", "doctor", name, "--json").out)
    assert again["problems"][0]["where"] == name, "machines get it as it is"


def test_test_sets_are_made_of_test_clips(workspace: Any, refused: Callable) -> None:
    refused(["synth", "out", "--layout", "unibench", "--split", "train"], "--split", "train")
