"""`affectgpt train`: stop and resume, validation, ways to read clips, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs" / "tiny.yaml"
SETTINGS = [
    word
    for setting in (
        "training.steps=6",
        "training.warmup_steps=1",
        "training.batch_size=2",
        "training.gradient_accumulation=2",
        "training.modality_dropout=0.3",
        "training.checkpoint_every=1",
    )
    for word in ("--set", setting)
]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def log_of(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.slow
def test_a_killed_run_is_resumed_exactly(place: Any, run: Callable) -> None:
    command = ["train", str(TINY), "--data", str(place.data(5)), *SETTINGS, "--workers", "1", "--decode", "each-time"]
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    started = [sys.executable, "-c", script, *command, "--out", "killed"]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (place.here / "killed.run" / "checkpoints" / "step-00000003" / "complete.json").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (place.here / "killed").exists()
    assert run(*command, "--out", "whole").code == 0
    again = run(*command, "--out", "killed", "--resume", "--json")
    assert again.code == 0, again.err
    assert 3 <= json.loads(again.out)["resumed"] <= 6
    assert log_of(place.here / "killed.run") == log_of(place.here / "whole.run")
    weights = [(place.here / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_a_checkpoint(place: Any, run: Callable) -> None:
    command = [
        "train",
        str(TINY),
        "--data",
        str(place.data(5)),
        *SETTINGS,
        "--set",
        "training.checkpoint_every=null",
        "--set",
        "training.steps=500",
        "--workers",
        "1",
        "--decode",
        "each-time",
        "--out",
        "told",
    ]
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        log = place.here / "told.run" / "log.jsonl"
        while not (log.exists() and log.read_bytes().count(b"\n") >= 2):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "training was stopped after step" in err, err
    assert [each.name[:5] for each in (place.here / "told.run" / "checkpoints").iterdir()] == ["step-"]


def test_a_finished_run_is_told_so_when_resumed(place: Any, run: Callable) -> None:
    data = place.data(4)
    command = place.train(data)
    first = run(*command, "--json")
    assert first.code == 0, first.err
    before = contents(place.here)
    again, as_json = run(*command, "--resume"), run(*command, "--resume", "--json")
    assert again.code == 0 and again.out.startswith("this run is finished: 1 steps on 4 clips"), again.err
    assert as_json.code == 0 and json.loads(as_json.out) == json.loads(first.out)
    assert contents(place.here) == before


def test_a_finished_run_of_other_settings_or_clips_is_told_so(place: Any, run: Callable) -> None:
    data = place.data(4)
    command = place.train(data)
    assert run(*command).code == 0
    before = contents(place.here)
    other = run(*command, "--resume", "--set", "training.steps=2")
    assert other.code == 2 and "begun with other settings: training.steps" in other.err
    elsewhere = run(*command, "--resume", "--out", "else", "--run", "out.run", "--set", "training.steps=2")
    assert elsewhere.code == 2 and "finished" not in elsewhere.err
    held = run(*command, "--resume", "--validation", data)
    assert held.code == 2 and "held-out clips" in held.err
    assert contents(place.here) == before
    table = next(data.glob("*.csv"))
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows[:-1]) + "\n")
    fewer = run(*command, "--resume")
    assert fewer.code == 2 and "begun with other settings: clips" in fewer.err, fewer.err


def test_a_model_that_was_lost_is_saved_again(place: Any, run: Callable) -> None:
    """As when the disk was full at the very end."""
    command = place.train(place.data(4), "--set", "training.checkpoint_every=1")
    assert run(*command).code == 0
    weights = (place.here / "out" / "model.safetensors").read_bytes()
    shutil.rmtree(place.here / "out")
    again = run(*command, "--resume")
    assert again.code == 0 and "since step 1" in again.out, again.err
    assert (place.here / "out" / "model.safetensors").read_bytes() == weights
    note = place.here / "out.run" / "finished.json"
    whole = json.loads(note.read_text())
    results = ({}, {**whole["result"], "seconds": "x"}, {**whole["result"], "best": [1]})
    damaged = ["{", "[]", '{"model": "../out"}', "[" * 100_000, *(json.dumps({**whole, "result": r}) for r in results)]
    for text in damaged:
        note.write_text(text)
        told = run(*command, "--resume")
        assert told.code == 2 and "something at this place already" in told.err, told.err
    note.unlink()
    os.mkfifo(note)
    assert "something at this place already" in run(*command, "--resume").err


def test_a_finished_run_with_the_model_of_another_is_told_so(place: Any, run: Callable) -> None:
    command = place.train(place.data(4), "--set", "training.checkpoint_every=1")
    assert run(*command).code == 0
    assert run(*command, "--out", "other", "--set", "seed=5").code == 0
    os.rename(place.here / "out", place.here / "own")
    os.rename(place.here / "other", place.here / "out")
    told = run(*command, "--resume")
    assert told.code == 2 and "not the model that the run ended with" in told.err, told.err
    shutil.rmtree(place.here / "out")
    assert run(*command, "--resume").code == 0
    names = ("out", "own")
    assert len({(place.here / name / "model.safetensors").read_bytes() for name in names}) == 1
    # The same place by another way.
    (place.here / "link").symlink_to(place.here)
    again = run(*command, "--out", "link/out", "--run", "out.run", "--resume")
    assert again.code == 0 and "this run is finished" in again.out and "saved in link/out" in again.out, again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "."), "holds the one that you are in"),
        (("--out", ".."), "holds the one that you are in"),
        (("--run", "out/run"), "cannot be in one folder"),
        (("--run", "x/../out"), "cannot be in one folder"),
    ],
)
def test_places_that_lie_in_one_another_are_refused_before_training(
    place: Any, refused: Callable, options: tuple[str, ...], words: str
) -> None:
    refused([*place.train(place.data(2)), *options], words)


def test_one_process_is_the_first_whatever_its_rank(place: Any) -> None:
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *place.train(place.data(2))],
        capture_output=True,
        text=True,
        env={**os.environ, "RANK": "1"},
        timeout=120,
    )
    assert done.returncode == 0 and "saved in out" in done.stdout and (place.here / "out").is_dir(), done.stderr


def test_a_run_in_the_way_is_refused_and_can_be_gone_on_with(place: Any, run: Callable) -> None:
    command = place.train(place.data(4), "--set", "training.checkpoint_every=1")
    first = run(*command)
    assert first.code == 0 and "1 steps on 4 clips" in first.out, first.err
    os.rename(place.here / "out", place.here / "other")
    refused = run(*command)
    assert refused.code == 2 and "a run in this folder already" in refused.err and "--resume" in refused.err
    again = run(*command, "--resume")
    assert again.code == 0 and "since step 1" in again.out, again.err
    other = run(*command, "--resume", "--out", "third", "--run", "out.run", "--set", "training.lr=0.003")
    assert other.code == 2 and "begun with other settings: training.lr" in other.err
    nothing = run(*command, "--resume", "--out", "third")
    assert nothing.code == 0 and "starts from nothing" in nothing.err
    one_place = run(*command, "--out", "here", "--run", "here")
    assert one_place.code == 2 and "one folder" in one_place.err


@pytest.mark.parametrize("decode", ["once", "each-time"])
def test_validation_and_ways_to_decode(place: Any, run: Callable, decode: str) -> None:
    data = place.data(4)
    manifest = place.here / "held.csv"
    videos = sorted((place.clips / "video").iterdir())[4:7]
    manifest.write_text("clip,description\n" + "".join(f"{path},glad\n" for path in videos))
    trained = run(
        *place.train(
            data,
            "--validation",
            manifest,
            "--decode",
            decode,
            "--set",
            "training.steps=3",
            "--set",
            "training.validate_every=1",
            "--set",
            "training.patience=1",
        ),
        "--json",
    )
    assert trained.code == 0, trained.err
    rows = log_of(place.here / "out.run")
    measured = {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}
    best = min(measured, key=lambda step: measured[step])
    found = json.loads(trained.out)
    assert found["best"] == {"step": best, "validation_loss": measured[best]} and found["clips"] == 4
    assert found["run"] == "out.run" and found["steps"] == len([row for row in rows if "loss" in row])


def test_the_same_numbers_however_clips_are_read(place: Any, run: Callable) -> None:
    data = place.data(4)
    for name, *options in (("a", "--decode", "once"), ("b", "--decode", "each-time", "--workers", "1")):
        assert run(*place.train(data, *options), "--out", name).code == 0
    assert log_of(place.here / "a.run") == log_of(place.here / "b.run")


def test_features_take_the_place_of_encoders(place: Any, run: Callable) -> None:
    frozen = ["--set", "encoders.face.frozen=true", "--set", "encoders.audio.frozen=true"]
    data = place.data(4)
    encoded = run("encode", data, "cache", "--config", TINY, *frozen, "--workers", "0")
    assert encoded.code == 0, encoded.err
    cache = ("--features", "cache")
    for name, *options in (("plain",), ("cached", *cache), ("workers", *cache, "--workers", "1")):
        trained = run(*place.train(data, *frozen, *options), "--out", name)
        assert trained.code == 0, trained.err
    plain, cached, workers = (log_of(place.here / f"{name}.run") for name in ("plain", "cached", "workers"))
    assert cached == workers and cached[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    assert run("describe", place.good_clip(), "--model", "cached").code == 0
    refused = run(*place.train(data, "--features", "cache"), "--out", "other")
    assert refused.code == 2 and "frozen" in refused.err and not (place.here / "other.run").exists()
    both = run(*place.train(data, *frozen, "--features", "cache", "--decode", "each-time"), "--out", "other")
    assert both.code == 2 and "--decode" in both.err


def test_more_broken_clips_than_allowed(place: Any, run: Callable) -> None:
    data = place.data(4)
    min((data / "video").iterdir()).write_bytes(b"no video")
    for decode in ("once", "each-time"):
        outcome = run(*place.train(data, "--decode", decode))
        assert outcome.code == 2 and "1 of 4 clips cannot be read" in outcome.err and "at most 1.0%" in outcome.err
        assert not (place.here / "out").exists() and not (place.here / "out.run").exists()
        allowed = run(*place.train(data, "--decode", decode, "--allow-unreadable", "0.25"), "--out", decode, "--json")
        assert allowed.code == 0 and json.loads(allowed.out)["skipped"] == ["synth_train_00000"]
        assert "skipped synth_train_00000" in allowed.err


def test_a_loss_that_is_no_number_names_step_clips_and_rate(place: Any, run: Callable) -> None:
    settings = (
        "training.steps=5",
        "training.lr=1.0e+30",
        "training.rates={}",
        "training.min_lr=1.0e+30",
        "training.max_grad_norm=null",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    outcome = run(*place.train(place.data(3), *options, "--set", "training.checkpoint_every=1"))
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert " at step 2" in outcome.err and "learning rate 1e+30" in outcome.err and "synth_train_0000" in outcome.err
    assert [path.name for path in (place.here / "out.run" / "checkpoints").iterdir()] == ["step-00000001"]
    assert not (place.here / "out").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.patience=2", "patience needs held-out clips"),
        ("training.rates={lm: 0.001}", "training.rates.lm"),
        ("llm.frozen=true", "training.rates.llm=null"),
        ("training.trackers=[wandb]", "affectgpt[trackers]"),
    ],
)
def test_what_cannot_be_trained_is_told_before_a_run_begins(
    place: Any, run: Callable, setting: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = run(*place.train(place.data(2), "--set", setting))
    assert outcome.code == 2 and words in outcome.err and "Traceback" not in outcome.err
    assert not (place.here / "out.run").exists()


def test_rates_that_nothing_has_are_told_before_clips_are_read(place: Any, run: Callable) -> None:
    data = place.data(2)
    min((data / "video").iterdir()).write_bytes(b"no video")
    outcome = run(*place.train(data, "--set", "llm.frozen=true"))
    assert outcome.code == 2 and "holds no trained parameter" in outcome.err, outcome.err


def test_the_papers_recipe(run: Callable) -> None:
    checked = run("check", ROOT / "configs" / "train" / "affectgpt.yaml", "--json")
    assert checked.code == 0 and json.loads(checked.out)["trained"] == 54_412_548
    from affectgpt.core.load_config import load_config
    from affectgpt.registry.discovery import discover

    training = load_config(ROOT / "configs" / "train" / "affectgpt.yaml", discover())[0].training
    assert (training.steps, training.batch_size, training.lr, training.min_lr) == (60 * 5000, 3, 1e-5, 1e-5)
    assert training.target == "mixed" and training.warmup_steps == 0 and training.max_grad_norm is None
    assert yaml.safe_load((ROOT / "configs" / "train" / "affectgpt.yaml").read_text())["extends"]
