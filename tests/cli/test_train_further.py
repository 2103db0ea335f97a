"""`affectgpt train FOLDER`: a saved model is trained further, from its own weights."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

making = runpy.run_path(str(Path(__file__).resolve().parents[1] / "released" / "conftest.py"))
models, original, prompt = making["models"], making["original"], making["prompt"]
TINY = Path(__file__).resolve().parents[2] / "configs" / "tiny.yaml"
ONE_STEP = ("--set", "training.steps=1", "--set", "training.warmup_steps=0", "--set", "training.batch_size=2")


def log_of(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def further(model: str | Path, data: Path, out: str, *options: str) -> list[str]:
    return ["train", str(model), "--data", str(data), "--out", out, *ONE_STEP, "--workers", "0", *options]


def test_it_begins_with_the_weights_of_the_folder(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    still = [
        word
        for rate in ("lr=1.0e-12", "rates.llm=1.0e-12", "min_lr=0", "weight_decay=0")
        for word in ("--set", f"training.{rate}")
    ]
    outcome = run(*further(workspace.model, data, "same", *still))
    assert outcome.code == 0, outcome.err
    before, after = (load_file(each / "model.safetensors") for each in (workspace.model, workspace.root / "same"))
    assert before.keys() == after.keys()
    buffers = [name for name in before if "running_" in name or "num_batches" in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before.keys() - set(buffers))
    assert run(*further(workspace.model, data, "moved")).code == 0
    moved = load_file(workspace.root / "moved" / "model.safetensors")
    assert not all(torch.allclose(before[name], moved[name], atol=1e-6) for name in before.keys() - set(buffers))
    fresh = run(*workspace.train(data), "--out", "fresh")
    first = [log_of(workspace.root / f"{name}.run")[0]["loss"] for name in ("fresh", "moved", "same")]
    assert fresh.code == 0 and first[0] != first[1] == first[2]


def test_it_may_be_saved_over_itself_nowhere(workspace: Any, refused: Callable) -> None:
    shutil.copytree(workspace.model, workspace.root / "mine")
    refused(further("mine", workspace.data(2), "mine"), "something at this place already")


def test_the_run_and_the_model_are_no_part_of_what_is_trained(workspace: Any, refused: Callable) -> None:
    shutil.copytree(workspace.model, workspace.root / "mine")
    data = workspace.data(2)
    refused(further("mine", data, "mine/more"), "lies in the model that is to be trained")
    refused(further("mine", data, "out", "--run", "mine/run"), "lies in the model that is to be trained")
    refused(further("mine", data, "out", "--run", "mine"), "this is the model that is to be trained")


def test_a_run_that_began_with_other_weights_is_not_gone_on_with(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    command = further("first", data, "out", "--set", "training.checkpoint_every=1")
    shutil.copytree(workspace.model, workspace.root / "first")
    assert run(*command).code == 0
    assert run(*workspace.train(data), "--out", "second").code == 0
    (workspace.root / "first").rename(workspace.root / "before")
    (workspace.root / "second").rename(workspace.root / "first")
    finished = run(*command, "--resume")
    assert finished.code == 2 and "other settings: weights that it began with" in finished.err, finished.err
    shutil.rmtree(workspace.root / "out")
    outcome = run(*command, "--resume")
    assert outcome.code == 2 and "other settings: weights that it began with" in outcome.err, outcome.err
    shutil.rmtree(workspace.root / "first")
    (workspace.root / "before").rename(workspace.root / "first")
    assert run(*command, "--resume").code == 0


def test_everything_may_be_moved_together(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    (workspace.root / "before").mkdir()
    shutil.copytree(workspace.model, workspace.root / "before" / "first")
    options = ("--set", "training.checkpoint_every=1")
    assert run(*further("before/first", data, "before/second", *options)).code == 0
    (workspace.root / "before").rename(workspace.root / "after")
    finished = run(*further("after/first", data, "after/second", *options), "--resume")
    assert finished.code == 0 and "this run is finished" in finished.out, finished.err
    shutil.rmtree(workspace.root / "after" / "second")
    resumed = run(*further("after/first", data, "after/second", *options), "--resume")
    assert resumed.code == 0 and "since step 1" in resumed.out, resumed.err
    tokenizer = workspace.root / "after" / "first" / "tokenizer" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    foreign = run(*further("after/first", data, "after/second", *options), "--resume")
    assert foreign.code == 2 and "begun with other settings: llm.tokenizer" in foreign.err, foreign.err


def test_a_finished_run_whose_adapter_is_another_or_gone_is_told_so(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    adapter = ("--set", "llm.lora={r: 2}", "--set", "llm.frozen=true", "--set", "training.rates.llm=null")
    command = further(workspace.model, data, "out", *adapter)
    assert run(*command).code == 0
    assert "this run is finished" in run(*command, "--resume").out
    assert run(*further("out", data, "more")).code == 0
    stored = workspace.root / "out" / "adapter" / "adapter_model.safetensors"
    shutil.copy(workspace.root / "more" / "adapter" / "adapter_model.safetensors", stored)
    assert "not the model that the run ended with" in run(*command, "--resume").err
    shutil.rmtree(stored.parent)
    assert "not the model that the run ended with" in run(*command, "--resume").err
    (workspace.root / "out" / "pipeline.yaml").unlink()
    assert "something at this place already" in run(*command, "--resume").err


@pytest.mark.parametrize(
    ("begin", "options", "words"),
    [
        ("nothing", (), "a pipeline YAML file, or the folder of a saved model"),
        ("mine/pipeline.yaml", (), "to train the model further give its folder"),
        ("mine", ("--set", "training.rate=3"), "training.rate"),
        ("empty", (), "this is not a saved model"),
        ("damaged", (), "the weights cannot be read"),
    ],
)
def test_what_cannot_be_trained_further(
    workspace: Any, refused: Callable, begin: str, options: tuple[str, ...], words: str
) -> None:
    for name in ("mine", "damaged"):
        shutil.copytree(workspace.model, workspace.root / name)
    workspace.write("empty/notes.txt", "none")
    weights = (workspace.model / "model.safetensors").read_bytes()
    workspace.write("damaged/model.safetensors", weights[: len(weights) // 2])
    refused(further(begin, workspace.data(2), "out", *options), words)


def test_other_widths_are_refused_before_a_run_begins(workspace: Any, run: Callable) -> None:
    outcome = run(
        *further(workspace.model, workspace.data(2), "out", "--set", "llm.architecture.intermediate_size=128")
    )
    assert outcome.code == 2 and "wrong form" in outcome.err and outcome.errors >= 1 and "Traceback" not in outcome.err
    assert not (workspace.root / "out").exists() and not (workspace.root / "out.run").exists()


def test_features_are_those_of_its_own_encoders(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    frozen = ("--set", "encoders.face.frozen=true", "--set", "encoders.audio.frozen=true")
    begun = run(*further(workspace.model, data, "begun", *frozen))
    assert begun.code == 0, begun.err
    encoded = run("encode", data, "own", "--model", "begun", "--workers", "0")
    foreign = run("encode", data, "other", "--config", TINY, *frozen, "--workers", "0")
    assert encoded.code == 0 == foreign.code, encoded.err + foreign.err
    for name, *features in (("plain",), ("cached", "--features", "own")):
        outcome = run(*further("begun", data, name, *features))
        assert outcome.code == 0, outcome.err
    plain, cached = (log_of(workspace.root / f"{name}.run") for name in ("plain", "cached"))
    assert cached[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    before, after = (load_file(workspace.root / name / "model.safetensors") for name in ("begun", "cached"))
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoders."))
    outcome = run(*further("begun", data, "refused", "--features", "other"))
    assert outcome.code == 2 and "made with other weights" in outcome.err and "face" in outcome.err, outcome.err
    assert not (workspace.root / "refused.run").exists()


def test_a_pickle_is_read_only_when_allowed(workspace: Any, run: Callable, refused: Callable) -> None:
    data = workspace.data(2)
    refused([*workspace.train(data), "--allow-pickle"], "only a saved model needs a permission")
    assert run(*further(workspace.model, data, "out", "--allow-pickle")).code == 0


def test_a_converted_model_trained_further_goes_back(
    workspace: Any, run: Callable, models: Any, original: Callable[..., Path], prompt: Path
) -> None:
    folders = ["--llm", models.llm, "--vision", models.vision, "--speech", models.speech, "--prompt", prompt]
    checkpoint = original()
    outcome = run("convert", "affectgpt", *folders, "--dtype", "float32", checkpoint, "--out", "converted")
    assert outcome.code == 0, outcome.err
    data = workspace.data(2)
    trained = run(*further("converted", data, "trained", "--set", "training.lr=0.01", "--set", "training.min_lr=0.01"))
    assert trained.code == 0, trained.err
    back = run("convert", "back", "trained", "--out", "again.pth", "--json")
    assert back.code == 0, back.err
    before, after = (
        torch.load(path, weights_only=True)["model"] for path in (checkpoint, workspace.root / "again.pth")
    )
    assert list(before) == list(after)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(before["image_llama_proj.weight"], after["image_llama_proj.weight"])
