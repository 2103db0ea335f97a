"""A wrong argument of a public function is one error that names it, and nothing is written."""

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
RUN = {"model": "tiny", "data": "clips.csv", "out": "out", "batch_size": 1, "workers": 0}
PATHS = {
    "number": 3,
    "bytes": b"x",
    "object": object(),
    "nothing": "",
    "zero": "a\0b",
    "surrogate": "\ud800",
    "long": "x" * 5000,
}
NUMBERS = {"text": "x", "half": 2.5, "negative": -1}
TEXTS = {"number": 3, "bytes": b"x", "object": object()}

RUN_WRONG = {
    "model": TEXTS,
    "data": PATHS,
    "out": PATHS,
    "batch_size": NUMBERS,
    "workers": NUMBERS,
    "limit": NUMBERS,
    "sets": TEXTS,
}

# A function, arguments that are right, and which of them are made wrong by what.
CALLS: list[tuple[Callable[..., Any], dict[str, Any], dict[str, dict[str, Any]]]] = [
    (ag.load, {}, {"name": TEXTS}),
    (ag.save, {"pipeline": ag.Pipeline, "folder": "out"}, {"folder": PATHS, "pipeline": TEXTS, "dtype": TEXTS}),
    (ag.describe, {"pipeline": ag.Pipeline, "what": CLIP}, {"pipeline": TEXTS, "batch_size": NUMBERS}),
    (ag.stream, {"pipeline": ag.Pipeline, "what": CLIP}, {"pipeline": TEXTS, "workers": NUMBERS}),
    (ag.synth, {"folder": "out", "clips": 1}, {"folder": PATHS, "split": TEXTS, "layout": TEXTS, "clips": NUMBERS}),
    (api.read_examples, {"path": "clips.csv"}, {"path": PATHS}),
    (
        ag.train,
        {"start": "tiny", "data": "clips.csv", "out": "out"},
        {"out": PATHS, "run": PATHS, "features": PATHS, "data": PATHS, "decode": TEXTS, "workers": NUMBERS},
    ),
    (
        ag.encode,
        {"start": "tiny", "data": "clips.csv", "out": "out"},
        {"out": PATHS, "data": PATHS, "dtype": TEXTS, "encoders": TEXTS, "batch_size": NUMBERS, "workers": NUMBERS},
    ),
    (
        ag.compare,
        {"base": "tiny", "data": "clips.csv", "test": "clips.csv", "vary": {"full": ["training.steps=200"]}},
        {"data": PATHS, "test": PATHS, "out": PATHS, "workers": NUMBERS},
    ),
    (
        ag.predict,
        RUN,
        {**RUN_WRONG, "question": TEXTS},
    ),
    (
        api.unibench,
        RUN,
        RUN_WRONG,
    ),
    (ag.doctor, {"data": "clips.csv"}, {"data": PATHS, "workers": NUMBERS}),
    (
        ag.convert,
        {"checkpoint": CLIP, "out": "out"},
        {"checkpoint": PATHS, "out": PATHS, "source": PATHS, "prompt": PATHS},
    ),
    (api.export, {"folder": "clips.csv", "out": "out"}, {"folder": PATHS, "out": PATHS}),
    (
        api.save_pretrained,
        {"pipeline": ag.Pipeline, "folder": "out"},
        {"folder": PATHS, "scores": PATHS, "dtype": TEXTS},
    ),
    (api.push_to_hub, {"folder": "clips.csv", "repo": "own/name"}, {"folder": PATHS, "scores": PATHS, "repo": TEXTS}),
    (api.model_card, {"folder": "clips.csv"}, {"folder": PATHS, "scores": PATHS}),
    (
        ag.score,
        {"predictions": TRUE, "truth": TRUE},
        {"out": PATHS, "wheels": PATHS, "extractor": TEXTS, "extractor_options": TEXTS},
    ),
    (ag.verify, {"name_or_class": "mean"}, {"options": TEXTS}),
    (api.build_extractor, {"name": "lexicon"}, {"name": TEXTS, "options": TEXTS}),
    (api.new_plugin, {"kind": "fuser", "name": "mine", "into": "out"}, {"kind": TEXTS, "name": TEXTS, "into": PATHS}),
    (
        api.export_prompts,
        {"model": "tiny", "paths": [CLIP], "folder": "out"},
        {"model": TEXTS, "paths": PATHS, "folder": PATHS, "batch_size": NUMBERS, "question": TEXTS, "subtitle": TEXTS},
    ),
    (
        api.describe_on_server,
        {"model": "tiny", "paths": CLIP, "server": "http://127.0.0.1:9"},
        {"server": TEXTS, "out": PATHS, "workers": NUMBERS},
    ),
]
WRONG = [
    pytest.param(call, right, argument, value, id=f"{call.__name__}-{argument}-{kind}")
    for call, right, arguments in CALLS
    for argument, values in arguments.items()
    for kind, value in values.items()
]


@pytest.fixture(scope="module")
def pipeline() -> ag.Pipeline:
    return ag.load()


@pytest.mark.parametrize(("call", "right", "argument", "value"), WRONG)
def test_a_wrong_argument_is_named(
    call: Callable[..., Any],
    right: dict[str, Any],
    argument: str,
    value: object,
    pipeline: ag.Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips.csv").write_text(f"clip,labels,description\n{CLIP},happy,She smiles.\n")
    arguments = {name: pipeline if kind is ag.Pipeline else kind for name, kind in right.items()}
    with pytest.raises(AffectGPTError) as caught:
        call(**{**arguments, argument: value})
    assert caught.value.problems[0].where == argument, caught.value
    assert [path.name for path in tmp_path.iterdir()] == ["clips.csv"]


def test_names_of_data_sets_may_come_from_an_iterator() -> None:
    from affectgpt.unibench.sources import check_sets

    assert check_sets(name for name in ["MER2023"]) == ["mer2023"]
    with pytest.raises(ag.DataError, match="no such data set"):
        check_sets(iter(["nope"]))


def test_a_node_that_a_plan_lacks_is_named() -> None:
    with pytest.raises(ag.ConfigError, match=r"no such node(.|\n)*'fase'(.|\n)*did you mean 'face'"):
        ag.plan("tiny").output("fase")
