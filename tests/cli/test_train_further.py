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


def test_it_begins_with_the_weights_of_the_folder(place: Any, run: Callable) -> None:
    data = place.data(4)
    still = [
        word
        for rate in ("lr=1.0e-12", "rates.llm=1.0e-12", "min_lr=0", "weight_decay=0")
        for word in ("--set", f"training.{rate}")
    ]
    done = run(*further(place.model, data, "same", *still))
    assert done.code == 0, done.err
    before, after = (load_file(each / "model.safetensors") for each in (place.model, place.here / "same"))
    assert before.keys() == after.keys()
    buffers = [name for name in before if "running_" in name or "num_batches" in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before.keys() - set(buffers))
    assert run(*further(place.model, data, "moved")).code == 0
    moved = load_file(place.here / "moved" / "model.safetensors")
    assert not all(torch.allclose(before[name], moved[name], atol=1e-6) for name in before.keys() - set(buffers))
    fresh = run(*place.train(data), "--out", "fresh")
    first = [log_of(place.here / f"{name}.run")[0]["loss"] for name in ("fresh", "moved", "same")]
    assert fresh.code == 0 and first[0] != first[1] == first[2]


def test_it_may_be_saved_over_itself_nowhere(place: Any, refused: Callable) -> None:
    shutil.copytree(place.model, place.here / "mine")
    refused(further("mine", place.data(2), "mine"), "something at this place already")


def test_the_run_and_the_model_are_no_part_of_what_is_trained(place: Any, refused: Callable) -> None:
    shutil.copytree(place.model, place.here / "mine")
    data = place.data(2)
    refused(further("mine", data, "mine/more"), "lies in the model that is to be trained")
    refused(further("mine", data, "out", "--run", "mine/run"), "lies in the model that is to be trained")
    refused(further("mine", data, "out", "--run", "mine"), "this is the model that is to be trained")


def test_a_run_that_began_with_other_weights_is_not_gone_on_with(place: Any, run: Callable) -> None:
    data = place.data(4)
    command = further("first", data, "out", "--set", "training.checkpoint_every=1")
    shutil.copytree(place.model, place.here / "first")
    assert run(*command).code == 0
    assert run(*place.train(data), "--out", "second").code == 0
    (place.here / "first").rename(place.here / "before")
    (place.here / "second").rename(place.here / "first")
    finished = run(*command, "--resume")
    assert finished.code == 2 and "other settings: weights that it began with" in finished.err, finished.err
    shutil.rmtree(place.here / "out")
    told = run(*command, "--resume")
    assert told.code == 2 and "other settings: weights that it began with" in told.err, told.err
    shutil.rmtree(place.here / "first")
    (place.here / "before").rename(place.here / "first")
    assert run(*command, "--resume").code == 0


def test_everything_may_be_moved_together(place: Any, run: Callable) -> None:
    data = place.data(4)
    (place.here / "before").mkdir()
    shutil.copytree(place.model, place.here / "before" / "first")
    options = ("--set", "training.checkpoint_every=1")
    assert run(*further("before/first", data, "before/second", *options)).code == 0
    (place.here / "before").rename(place.here / "after")
    finished = run(*further("after/first", data, "after/second", *options), "--resume")
    assert finished.code == 0 and "this run is finished" in finished.out, finished.err
    shutil.rmtree(place.here / "after" / "second")
    resumed = run(*further("after/first", data, "after/second", *options), "--resume")
    assert resumed.code == 0 and "since step 1" in resumed.out, resumed.err
    tokenizer = place.here / "after" / "first" / "tokenizer" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    other = run(*further("after/first", data, "after/second", *options), "--resume")
    assert other.code == 2 and "begun with other settings: llm.tokenizer" in other.err, other.err


def test_a_finished_run_whose_adapter_is_another_or_gone_is_told_so(place: Any, run: Callable) -> None:
    data = place.data(4)
    adapter = ("--set", "llm.lora={r: 2}", "--set", "llm.frozen=true", "--set", "training.rates.llm=null")
    command = further(place.model, data, "out", *adapter)
    assert run(*command).code == 0
    assert "this run is finished" in run(*command, "--resume").out
    assert run(*further("out", data, "more")).code == 0
    stored = place.here / "out" / "adapter" / "adapter_model.safetensors"
    shutil.copy(place.here / "more" / "adapter" / "adapter_model.safetensors", stored)
    assert "not the model that the run ended with" in run(*command, "--resume").err
    shutil.rmtree(stored.parent)
    assert "not the model that the run ended with" in run(*command, "--resume").err
    (place.here / "out" / "pipeline.yaml").unlink()
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
    place: Any, refused: Callable, begin: str, options: tuple[str, ...], words: str
) -> None:
    for name in ("mine", "damaged"):
        shutil.copytree(place.model, place.here / name)
    place.write("empty/notes.txt", "none")
    weights = (place.model / "model.safetensors").read_bytes()
    place.write("damaged/model.safetensors", weights[: len(weights) // 2])
    refused(further(begin, place.data(2), "out", *options), words)


def test_other_widths_are_refused_before_a_run_begins(place: Any, run: Callable) -> None:
    told = run(*further(place.model, place.data(2), "out", "--set", "llm.architecture.intermediate_size=128"))
    assert told.code == 2 and "wrong form" in told.err and told.errors >= 1 and "Traceback" not in told.err
    assert not (place.here / "out").exists() and not (place.here / "out.run").exists()


def test_features_are_those_of_its_own_encoders(place: Any, run: Callable) -> None:
    data = place.data(4)
    frozen = ("--set", "encoders.face.frozen=true", "--set", "encoders.audio.frozen=true")
    begun = run(*further(place.model, data, "begun", *frozen))
    assert begun.code == 0, begun.err
    own = run("encode", data, "own", "--model", "begun", "--workers", "0")
    other = run("encode", data, "other", "--config", TINY, *frozen, "--workers", "0")
    assert own.code == 0 == other.code, own.err + other.err
    for name, *features in (("plain",), ("cached", "--features", "own")):
        done = run(*further("begun", data, name, *features))
        assert done.code == 0, done.err
    plain, cached = (log_of(place.here / f"{name}.run") for name in ("plain", "cached"))
    assert cached[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    before, after = (load_file(place.here / name / "model.safetensors") for name in ("begun", "cached"))
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoders."))
    told = run(*further("begun", data, "refused", "--features", "other"))
    assert told.code == 2 and "made with other weights" in told.err and "face" in told.err, told.err
    assert not (place.here / "refused.run").exists()


def test_a_pickle_is_read_only_when_allowed(place: Any, run: Callable, refused: Callable) -> None:
    data = place.data(2)
    refused([*place.train(data), "--allow-pickle"], "--allow-pickle is for a saved model")
    assert run(*further(place.model, data, "out", "--allow-pickle")).code == 0


def test_a_converted_model_trained_further_goes_back(
    place: Any, run: Callable, models: Any, original: Callable[..., Path], prompt: Path
) -> None:
    folders = ["--llm", models.llm, "--vision", models.vision, "--speech", models.speech, "--prompt", prompt]
    checkpoint = original()
    made = run("convert", "affectgpt", *folders, "--dtype", "float32", checkpoint, "--out", "converted")
    assert made.code == 0, made.err
    data = place.data(2)
    trained = run(*further("converted", data, "trained", "--set", "training.lr=0.01", "--set", "training.min_lr=0.01"))
    assert trained.code == 0, trained.err
    back = run("convert", "back", "trained", "--out", "again.pth", "--json")
    assert back.code == 0, back.err
    before, after = (torch.load(path, weights_only=True)["model"] for path in (checkpoint, place.here / "again.pth"))
    assert list(before) == list(after)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(before["image_llama_proj.weight"], after["image_llama_proj.weight"])
