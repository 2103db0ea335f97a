"""`affectgpt hub`, and models named as on the Hub, as far as that goes without one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_card_is_shown_or_written(run: Callable, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    outcome = run("hub", "card", folder, "--show")
    assert outcome.code == 0 and outcome.out.startswith("---\nlibrary_name: affectgpt\n")
    assert not (folder / "README.md").exists()
    written = run("hub", "card", folder)
    assert written.code == 0 and written.out == f"{folder / 'README.md'}\n"
    assert (folder / "README.md").read_text() == outcome.out
    (folder / "README.md").write_text("mine")
    again = run("hub", "card", folder)
    assert again.code == 2 and again.errors == 1 and (folder / "README.md").read_text() == "mine"


def test_the_scores_of_a_benchmark_are_on_the_card(run: Callable, model: Path, tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text('{"id": "a", "text": "He is happy."}\n{"id": "b", "text": "She is sad."}\n')
    (tmp_path / "true.jsonl").write_text('{"id": "a", "labels": ["happy"]}\n{"id": "b", "labels": ["angry"]}\n')
    scored = run(
        "score",
        tmp_path / "said.jsonl",
        "--truth",
        tmp_path / "true.jsonl",
        "--task",
        "fine-grained",
        "--out",
        tmp_path / "out",
    )
    assert scored.code == 0, scored.err
    (scores,) = (tmp_path / "out").glob("*.json")
    outcome = run("hub", "card", model, "--show", "--scores", scores)
    assert outcome.code == 0 and "No scores were given" not in outcome.out and "model-index" in outcome.out, outcome.err


WRONG: dict[str, tuple[list[str], str]] = {
    "no folder": (["hub", "card", "nothing"], "not a saved model"),
    "no scores": (["hub", "card", "MODEL", "--show", "--scores", "nothing.json"], "scores cannot be read"),
    "a name without its owner": (["hub", "push", "MODEL", "mine"], "owner is missing"),
    "an address": (["hub", "push", "MODEL", "https://huggingface.co/own/mine"], "not the name of a model"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_error(case: str, run: Callable, workspace: Any) -> None:
    arguments, words = WRONG[case]
    outcome = run(*(str(workspace.model) if each == "MODEL" else each for each in arguments))
    assert outcome.code == 2 and outcome.errors == 1 and words in outcome.err and outcome.out == "", outcome.err
    assert not (workspace.model / "README.md").exists()


@pytest.mark.parametrize("command", ["describe", "generate", "unibench", "serve-embeds", "encode"])
def test_every_command_takes_a_name_of_the_hub_and_says_that_it_is_offline(
    command: str, run: Callable, workspace: Any
) -> None:
    data, clip = str(workspace.data()), workspace.good_clip()
    arguments = {
        "describe": [clip],
        "generate": [data, "--out", "out"],
        "unibench": ["out", "--data", data],
        "serve-embeds": [clip, "--export", "out"],
        "encode": [data, "cache"],
    }[command]
    outcome = run(command, *arguments, "--model", "own/nothing@main")
    assert outcome.code == 1 and outcome.errors == 1, outcome.err
    assert "own/nothing@main: the Hub cannot be asked: HF_HUB_OFFLINE is set" in outcome.err
    assert "Traceback" not in outcome.err
