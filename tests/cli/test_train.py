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
def test_a_killed_run_is_resumed_exactly(workspace: Any, run: Callable) -> None:
    command = [
        "train",
        str(TINY),
        "--data",
        str(workspace.data(5)),
        *SETTINGS,
        "--workers",
        "1",
        "--decode",
        "each-time",
    ]
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    started = [sys.executable, "-c", script, *command, "--out", "killed"]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (workspace.root / "killed.run" / "checkpoints" / "step-00000003" / "complete.json").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (workspace.root / "killed").exists()
    assert run(*command, "--out", "whole").code == 0
    again = run(*command, "--out", "killed", "--resume", "--json")
    assert again.code == 0, again.err
    assert 3 <= json.loads(again.out)["resumed"] <= 6
    assert log_of(workspace.root / "killed.run") == log_of(workspace.root / "whole.run")
    weights = [(workspace.root / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_a_checkpoint(workspace: Any, run: Callable) -> None:
    command = [
        "train",
        str(TINY),
        "--data",
        str(workspace.data(5)),
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
        log = workspace.root / "told.run" / "log.jsonl"
        while not (log.exists() and log.read_bytes().count(b"\n") >= 2):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "training was stopped after step" in err, err
    assert [each.name[:5] for each in (workspace.root / "told.run" / "checkpoints").iterdir()] == ["step-"]


def test_a_finished_run_is_told_so_when_resumed(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    command = workspace.train(data)
    first = run(*command, "--json")
    assert first.code == 0, first.err
    before = contents(workspace.root)
    again, as_json = run(*command, "--resume"), run(*command, "--resume", "--json")
    assert again.code == 0 and again.out.startswith("this run is finished: 1 steps on 4 clips"), again.err
    assert as_json.code == 0 and json.loads(as_json.out) == json.loads(first.out)
    assert contents(workspace.root) == before


def test_a_finished_run_of_other_settings_or_clips_is_told_so(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    command = workspace.train(data)
    assert run(*command).code == 0
    before = contents(workspace.root)
    outcome = run(*command, "--resume", "--set", "training.steps=2")
    assert outcome.code == 2 and "begun with other settings: training.steps" in outcome.err
    elsewhere = run(*command, "--resume", "--out", "else", "--run", "out.run", "--set", "training.steps=2")
    assert elsewhere.code == 2 and "finished" not in elsewhere.err
    outcome = run(*command, "--resume", "--validation", data)
    assert outcome.code == 2 and "held-out clips" in outcome.err
    assert contents(workspace.root) == before
    table = next(data.glob("*.csv"))
    rows = table.read_text().splitlines()
    table.write_text("\n".join(rows[:-1]) + "\n")
    fewer = run(*command, "--resume")
    assert fewer.code == 2 and "begun with other settings: clips" in fewer.err, fewer.err


def test_a_model_that_was_lost_is_saved_again(workspace: Any, run: Callable) -> None:
    """As when the disk was full at the very end."""
    command = workspace.train(workspace.data(4), "--set", "training.checkpoint_every=1")
    assert run(*command).code == 0
    weights = (workspace.root / "out" / "model.safetensors").read_bytes()
    shutil.rmtree(workspace.root / "out")
    again = run(*command, "--resume")
    assert again.code == 0 and "since step 1" in again.out, again.err
    assert (workspace.root / "out" / "model.safetensors").read_bytes() == weights
    note = workspace.root / "out.run" / "finished.json"
    record = json.loads(note.read_text())
    results = ({}, {**record["result"], "seconds": "x"}, {**record["result"], "best": [1]})
    damaged = ["{", "[]", '{"model": "../out"}', "[" * 100_000, *(json.dumps({**record, "result": r}) for r in results)]
    for text in damaged:
        note.write_text(text)
        outcome = run(*command, "--resume")
        assert outcome.code == 2 and "something at this place already" in outcome.err, outcome.err
    note.unlink()
    os.mkfifo(note)
    assert "something at this place already" in run(*command, "--resume").err


def test_a_finished_run_with_the_model_of_another_is_told_so(workspace: Any, run: Callable) -> None:
    command = workspace.train(workspace.data(4), "--set", "training.checkpoint_every=1")
    assert run(*command).code == 0
    assert run(*command, "--out", "other", "--set", "seed=5").code == 0
    os.rename(workspace.root / "out", workspace.root / "own")
    os.rename(workspace.root / "other", workspace.root / "out")
    outcome = run(*command, "--resume")
    assert outcome.code == 2 and "not the model that the run ended with" in outcome.err, outcome.err
    shutil.rmtree(workspace.root / "out")
    assert run(*command, "--resume").code == 0
    names = ("out", "own")
    assert len({(workspace.root / name / "model.safetensors").read_bytes() for name in names}) == 1
    # The same place by another way.
    (workspace.root / "link").symlink_to(workspace.root)
    again = run(*command, "--out", "link/out", "--run", "out.run", "--resume")
    assert again.code == 0 and "this run is finished" in again.out and "saved in link/out" in again.out, again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--out", "."), "holds the working folder"),
        (("--out", ".."), "holds the working folder"),
        (("--run", "out/run"), "cannot be in one folder"),
        (("--run", "x/../out"), "cannot be in one folder"),
    ],
)
def test_places_that_lie_in_one_another_are_refused_before_training(
    workspace: Any, refused: Callable, options: tuple[str, ...], words: str
) -> None:
    refused([*workspace.train(workspace.data(2)), *options], words)


def test_one_process_is_the_first_whatever_its_rank(
    workspace: Any, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    result = run(*workspace.train(workspace.data(2)))
    assert result.code == 0 and "saved in out" in result.out and (workspace.root / "out").is_dir(), result.err


def test_a_run_in_the_way_is_refused_and_can_be_gone_on_with(workspace: Any, run: Callable) -> None:
    command = workspace.train(workspace.data(4), "--set", "training.checkpoint_every=1")
    first = run(*command)
    assert first.code == 0 and "1 steps on 4 clips" in first.out, first.err
    os.rename(workspace.root / "out", workspace.root / "other")
    refused = run(*command)
    assert refused.code == 2 and "a run in this folder already" in refused.err and "--resume" in refused.err
    again = run(*command, "--resume")
    assert again.code == 0 and "since step 1" in again.out, again.err
    outcome = run(*command, "--resume", "--out", "third", "--run", "out.run", "--set", "training.lr=0.003")
    assert outcome.code == 2 and "begun with other settings: training.lr" in outcome.err
    nothing = run(*command, "--resume", "--out", "third")
    assert nothing.code == 0 and "starts from the beginning" in nothing.err
    one_place = run(*command, "--out", "here", "--run", "here")
    assert one_place.code == 2 and "one folder" in one_place.err


@pytest.mark.parametrize("decode", ["once", "each-time"])
def test_validation_and_ways_to_decode(workspace: Any, run: Callable, decode: str) -> None:
    data = workspace.data(4)
    manifest = workspace.root / "held.csv"
    videos = sorted((workspace.clips / "video").iterdir())[4:7]
    manifest.write_text("clip,description\n" + "".join(f"{path},glad\n" for path in videos))
    trained = run(
        *workspace.train(
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
    rows = log_of(workspace.root / "out.run")
    measured = {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}
    best = min(measured, key=lambda step: measured[step])
    result = json.loads(trained.out)
    assert result["best"] == {"step": best, "validation_loss": measured[best]} and result["clips"] == 4
    assert result["run"] == "out.run" and result["steps"] == len([row for row in rows if "loss" in row])


def test_the_same_numbers_however_clips_are_read(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    for name, *options in (("a", "--decode", "once"), ("b", "--decode", "each-time", "--workers", "1")):
        assert run(*workspace.train(data, *options), "--out", name).code == 0
    assert log_of(workspace.root / "a.run") == log_of(workspace.root / "b.run")


def test_features_take_the_place_of_encoders(workspace: Any, run: Callable) -> None:
    frozen = ["--set", "encoders.face.frozen=true", "--set", "encoders.audio.frozen=true"]
    data = workspace.data(4)
    encoded = run("encode", data, "cache", "--config", TINY, *frozen, "--workers", "0")
    assert encoded.code == 0, encoded.err
    cache = ("--features", "cache")
    for name, *options in (("plain",), ("cached", *cache), ("workers", *cache, "--workers", "1")):
        trained = run(*workspace.train(data, *frozen, *options), "--out", name)
        assert trained.code == 0, trained.err
    plain, cached, workers = (log_of(workspace.root / f"{name}.run") for name in ("plain", "cached", "workers"))
    assert cached == workers and cached[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    assert run("describe", workspace.good_clip(), "--model", "cached").code == 0
    refused = run(*workspace.train(data, "--features", "cache"), "--out", "other")
    assert refused.code == 2 and "frozen" in refused.err and not (workspace.root / "other.run").exists()
    both = run(*workspace.train(data, *frozen, "--features", "cache", "--decode", "each-time"), "--out", "other")
    assert both.code == 2 and "--decode" in both.err


def test_more_broken_clips_than_allowed(workspace: Any, run: Callable) -> None:
    data = workspace.data(4)
    min((data / "video").iterdir()).write_bytes(b"no video")
    for decode in ("once", "each-time"):
        outcome = run(*workspace.train(data, "--decode", decode))
        assert outcome.code == 2 and "1 of 4 clips cannot be read" in outcome.err and "at most 1.0%" in outcome.err
        assert not (workspace.root / "out").exists() and not (workspace.root / "out.run").exists()
        allowed = run(
            *workspace.train(data, "--decode", decode, "--allow-unreadable", "0.25"), "--out", decode, "--json"
        )
        assert allowed.code == 0 and json.loads(allowed.out)["skipped"] == ["synth_train_00000"]
        assert "skipped synth_train_00000" in allowed.err


def test_a_loss_that_is_no_number_names_step_clips_and_rate(workspace: Any, run: Callable) -> None:
    settings = (
        "training.steps=5",
        "training.lr=1.0e+30",
        "training.min_lr=1.0e+30",
        "training.max_grad_norm=null",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    outcome = run(*workspace.train(workspace.data(3), *options, "--set", "training.checkpoint_every=1"))
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert " at step 2" in outcome.err and "learning rate 1e+30" in outcome.err and "synth_train_0000" in outcome.err
    assert [path.name for path in (workspace.root / "out.run" / "checkpoints").iterdir()] == ["step-00000001"]
    assert not (workspace.root / "out").exists()


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
    workspace: Any, run: Callable, setting: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = run(*workspace.train(workspace.data(2), "--set", setting))
    assert outcome.code == 2 and words in outcome.err and "Traceback" not in outcome.err
    assert not (workspace.root / "out.run").exists()


def test_rates_that_nothing_has_are_told_before_clips_are_read(workspace: Any, run: Callable) -> None:
    data = workspace.data(2)
    min((data / "video").iterdir()).write_bytes(b"no video")
    outcome = run(*workspace.train(data, "--set", "llm.frozen=true"))
    assert outcome.code == 2 and "holds no trained parameter" in outcome.err, outcome.err


def test_the_papers_recipe(run: Callable) -> None:
    checked = run("check", ROOT / "configs" / "train" / "affectgpt.yaml", "--json")
    assert checked.code == 0 and json.loads(checked.out)["trained"] == 54_412_548
    from affectgpt.core.load_config import read_config
    from affectgpt.registry.discovery import discover

    training = read_config(ROOT / "configs" / "train" / "affectgpt.yaml", discover()).training
    assert (training.steps, training.batch_size, training.lr, training.min_lr) == (60 * 5000, 3, 1e-5, 1e-5)
    assert training.target == "mixed" and training.warmup_steps == 0 and training.max_grad_norm is None
    assert yaml.safe_load((ROOT / "configs" / "train" / "affectgpt.yaml").read_text())["extends"]
