"""`affectgpt convert`, there and back, and what it refuses."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

making = runpy.run_path(str(Path(__file__).resolve().parents[1] / "released" / "conftest.py"))
models, original, prompt = making["models"], making["original"], making["prompt"]


@pytest.fixture
def convert(run: Callable[..., Any], models: Any, prompt: Path) -> Callable[..., Any]:
    def call(*arguments: object) -> Any:
        folders = ["--llm", models.llm, "--vision", models.vision, "--speech", models.speech, "--prompt", prompt]
        return run("convert", "affectgpt", *folders, "--dtype", "float32", *arguments)

    return call


def test_there_and_back(
    convert: Callable[..., Any], run: Callable[..., Any], original: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint, out, again = original(), tmp_path / "model", tmp_path / "again.pth"
    outcome = convert(checkpoint, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "48 tensors: 46 mapped, 0 tied, 2 kept beside" in outcome.out
    assert "image_llama_proj.weight: single pictures" in outcome.out and "not carried optimizer" in outcome.out
    assert sorted(path.name for path in out.iterdir()) == [
        "adapter",
        "model.safetensors",
        "pipeline.yaml",
        "plugins.json",
        "released",
        "tokenizer",
    ]
    assert run("check", out / "pipeline.yaml").code == 0
    back = run("convert", "back", out, "--out", again, "--json")
    assert back.code == 0, back.err
    before, after = (torch.load(path, weights_only=True)["model"] for path in (checkpoint, again))
    assert list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads(back.out)["counts"] == {"mapped": 46, "tied": 0, "kept": 2, "not carried": 0}


def test_the_whole_table(convert: Callable[..., Any], original: Callable[..., Path], tmp_path: Path) -> None:
    outcome = json.loads(convert(original(), "--out", tmp_path / "model", "--json").out)
    assert outcome["counts"] == {"mapped": 46, "tied": 0, "kept": 2, "not carried": 2}
    rows = {row["name"]: row for row in outcome["rows"]}
    assert rows["fc_att.weight"] == {
        "name": "fc_att.weight",
        "fate": "mapped",
        "shape": [2, 40],
        "dtype": "float32",
        "to": ["fusers.multi.score.weight"],
        "why": "",
    }


def test_a_saved_model_is_not_replaced(
    convert: Callable[..., Any], original: Callable[..., Path], tmp_path: Path
) -> None:
    assert convert(original(), "--out", tmp_path / "model").code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    outcome = convert(tmp_path / "checkpoint.pth", "--out", tmp_path / "model")
    assert outcome.code == 2 and outcome.errors == 1 and "something at this place already" in outcome.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("obstacle", ["a file", "a folder", "under a file"])
def test_a_place_that_is_taken(
    obstacle: str, convert: Callable[..., Any], original: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint, out = original(), tmp_path / "model"
    if obstacle == "a folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")
    else:
        out.write_text("years of work")
    target = out / "inside" if obstacle == "under a file" else out
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    outcome = convert(checkpoint, "--out", target)
    assert outcome.code == 2 and outcome.errors == 1 and outcome.out == "", outcome.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_one_error_without_a_traceback(
    convert: Callable[..., Any], run: Callable[..., Any], original: Callable[..., Path], tmp_path: Path
) -> None:
    broken = original(change=lambda content: content["model"].pop("fc_att.bias"))
    outcome = convert(broken, "--out", tmp_path / "model")
    assert outcome.code == 2 and outcome.errors == 1 and "Traceback" not in outcome.err and "fc_att.bias" in outcome.err
    as_json = convert(broken, "--out", tmp_path / "model", "--json")
    assert as_json.code == 2 and len(json.loads(as_json.out)["problems"]) == 1
    assert not (tmp_path / "model").exists()
    back = run("convert", "back", tmp_path, "--out", tmp_path / "again.pth")
    assert back.code == 2 and back.errors == 1 and "this is not a saved model" in back.err
    (tmp_path / "pipeline.yaml").write_text("seed: 1")
    back = run("convert", "back", tmp_path, "--out", tmp_path / "again.pth")
    assert back.code == 2 and back.errors == 1 and "was not converted" in back.err
