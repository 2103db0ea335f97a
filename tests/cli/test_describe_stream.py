"""`affectgpt describe --stream`: text while it is written, on the terminal and as lines of JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from affectgpt.cli.printable import printable


@pytest.fixture
def options(videos: list[Path], tmp_path: Path, model: Path) -> list[Any]:
    """The command line for two clips, a broken one between them, and the first once more."""
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    return ["describe", videos[0], broken, videos[1], videos[0], "--model", model]


@pytest.mark.parametrize("size", [[], ["--batch-size", 3]], ids=["one at a time", "in a batch"])
def test_lines_of_json_make_up_what_is_said_at_once(run: Callable, options: list[Any], size: list[Any]) -> None:
    descriptions, streamed = run(*options, "--json"), run(*options, "--json", "--stream", *size)
    assert descriptions.code == streamed.code == 2
    lines = [json.loads(line) for line in streamed.out.splitlines()]
    rows = [line for line in lines if "piece" not in line]
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    for index, (row, expected) in enumerate(zip(rows, json.loads(descriptions.out), strict=True)):
        pieces = [line for line in lines if "piece" in line and line["index"] == index]
        assert "".join(line["piece"] for line in pieces) == row["text"] == expected["text"]
        assert all(line["file"] == row["file"] for line in pieces) and (len(pieces) > 3) == (not row["error"])
        assert row["error"] == expected["error"] and row["counted"] == pytest.approx(expected["counted"], abs=1e-3)


@pytest.mark.parametrize("size", [[], ["--batch-size", 3]], ids=["one at a time", "in a batch"])
def test_what_a_person_reads(run: Callable, options: list[Any], size: list[Any]) -> None:
    texts = [printable(row["text"]) for row in json.loads(run(*options, "--json").out)]
    outcome = run(*options, "--stream", *size)
    assert outcome.code == 2 and outcome.errors == 1 and "broken.mp4" in outcome.err
    offset = 0
    for file, text in zip((options[1], None, options[3], options[4]), texts, strict=True):
        if file is not None:
            offset = outcome.out.index(f"{file.name}\n  {text}\n  counted: face", offset)
    assert outcome.out.count("counted:") == 3


def test_beams_cannot_be_streamed(refused: Callable, workspace: Any) -> None:
    shutil.copytree(workspace.model, workspace.root / "saved")
    config = yaml.safe_load((workspace.model / "pipeline.yaml").read_text())
    config["generation"]["beams"] = 2
    workspace.write("saved/pipeline.yaml", yaml.safe_dump(config))
    refused(["describe", workspace.good_clip(), "--model", "saved", "--stream"], "generation.beams", "streamed")


def test_a_control_sequence_in_the_text_does_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from affectgpt.cli.streaming import live
    from affectgpt.core.description import Description

    ends = [(0, Description("a\x1b.mp4", "x")), (1, Description("b"))]
    events: list[Any] = [(0, "\x1b[2J"), (1, "later"), (0, "sad"), *ends]
    files = [Path("a\x1b.mp4"), Path("b")]
    rows = list(live((each for each in events), files, lambda row: print("--")))
    assert len(rows) == 2
    assert capsys.readouterr().out == "a\ufffd.mp4\n  \ufffd[2Jsad\n--\nb\n  later\n--\n"
