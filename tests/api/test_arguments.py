"""A wrong argument of a public function is one error that names it, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import affectgpt as ag
from affectgpt import api
from affectgpt.registry.errors import AffectGPTError

CLIP = Path(__file__).resolve().parents[2] / "examples" / "clips" / "astronaut_voice.mp4"
TRUE = {"a": ["happy"]}

# The arguments of a call that are right; each path among them is then made wrong.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]] = {
    "load": (ag.load, {}, ["name"]),
    "save": (ag.save, {"pipeline": "PIPELINE", "folder": "out"}, ["pipeline", "folder"]),
    "describe": (ag.describe, {"pipeline": "PIPELINE", "what": CLIP}, ["pipeline", "what"]),
    "stream": (ag.stream, {"pipeline": "PIPELINE", "what": CLIP}, ["pipeline"]),
    "plan": (ag.plan, {"config": "tiny"}, ["config"]),
    "build": (ag.build, {"config": "tiny"}, ["config"]),
    "synth": (ag.synth, {"folder": "out", "clips": 1}, ["folder", "clips", "seed", "split", "layout"]),
    "read_examples": (api.read_examples, {"path": "clips"}, ["path"]),
    "train": (ag.train, {"start": "tiny", "data": "clips", "out": "out"}, ["start", "data", "out", "run", "features"]),
    "encode": (ag.encode, {"start": "tiny", "data": "clips", "out": "out"}, ["start", "data", "out", "dtype"]),
    "predict": (ag.predict, {"model": "tiny", "data": "clips", "out": "out"}, ["model", "data", "out"]),
    "doctor": (ag.doctor, {"data": "clips"}, ["data"]),
    "convert": (ag.convert, {"checkpoint": CLIP, "out": "out"}, ["checkpoint", "out", "source", "prompt", "bert"]),
    "export": (api.export, {"folder": "model", "out": "out"}, ["folder", "out"]),
    "score": (
        ag.score,
        {"predictions": TRUE, "truth": TRUE},
        ["predictions", "truth", "against", "out", "wheels", "extractor", "extractor_options"],
    ),
    "new_plugin": (api.new_plugin, {"kind": "fuser", "name": "mine", "into": "out"}, ["kind", "name", "into"]),
    "export_prompts": (
        api.export_prompts,
        {"model": "tiny", "paths": [CLIP], "folder": "out"},
        ["model", "paths", "folder"],
    ),
}
WRONG = {"number": 3, "bytes": b"x", "object": object(), "nothing": "", "zero": "a\0b", "long": "x" * 5000}


@pytest.fixture(scope="module")
def pipeline() -> ag.Pipeline:
    return ag.load()


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("function", "argument"), [(name, part) for name, call in CALLS.items() for part in call[2]])
def test_it_is_named_before_any_work(
    function: str,
    argument: str,
    wrong: str,
    pipeline: ag.Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    call, right, _ = CALLS[function]
    arguments = {name: pipeline if value == "PIPELINE" else value for name, value in right.items()}
    if (argument, wrong) in {("seed", "number"), ("clips", "number"), ("what", "bytes")}:
        pytest.skip("this value is right")
    with pytest.raises(AffectGPTError):
        call(**{**arguments, argument: WRONG[wrong]})
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_a_plan_lacks_is_named() -> None:
    with pytest.raises(ag.ConfigError, match=r"no such node(.|\n)*'fase'(.|\n)*did you mean 'face'"):
        ag.plan("tiny").output("fase")
