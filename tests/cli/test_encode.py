"""`affectgpt encode` on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.mer2025 import read_mer2025

TINY = Path(__file__).resolve().parents[2] / "configs" / "tiny.yaml"
FROZEN = ["--set", "encoders.face.frozen=true", "--set", "encoders.audio.frozen=true"]
CONFIG = ["--config", TINY, *FROZEN, "--workers", "0"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_encoded_once(run: Callable[..., Any], workspace: Any) -> None:
    data = workspace.data(3)
    outcome = run("encode", data, "out", *CONFIG)
    assert outcome.code == 0 and "out: 3 clips, 3 newly encoded by face, audio" in outcome.out, outcome.err
    samples, _ = FeatureCache.open("out").samples(read_mer2025(data))
    assert len(samples) == 3 and samples[2].media["face"].values.shape == (24, 96)
    again = run("encode", data, "out", *CONFIG, "--json")
    assert again.code == 0 and json.loads(again.out) == {
        "cache": "out",
        "encoders": ["face", "audio"],
        "clips": 3,
        "new": 0,
        "unreadable": [],
    }


def test_a_manifest_a_saved_model_and_some_encoders(run: Callable[..., Any], workspace: Any) -> None:
    workspace.good_clip()
    workspace.write("list.csv", "clip,labels\nclip.mp4,[happy]\n")
    outcome = run(
        "encode",
        "list.csv",
        "out",
        "--model",
        workspace.model,
        "--encoders",
        "audio",
        "--dtype",
        "bfloat16",
        "--workers",
        "0",
        "--device",
        "cpu",
    )
    assert outcome.code == 0 and "1 clips, 1 newly encoded by audio" in outcome.out, outcome.err
    cache = FeatureCache.open("out")
    assert cache.encoders == ("audio",) and cache.settings.dtype == "bfloat16"


def test_too_many_unreadable_clips_are_listed_and_the_cache_is_kept(run: Callable[..., Any], workspace: Any) -> None:
    data = workspace.data(3)
    broken = sorted((data / "video").iterdir())[1]
    content = broken.read_bytes()
    broken.write_bytes(b"no video")
    outcome = run("encode", data, "out", *CONFIG)
    assert outcome.code == 1 and "1 of 3 clips cannot be read" in outcome.err and broken.name in outcome.err
    assert "Traceback" not in outcome.err and outcome.out == ""
    allowed = run("encode", data, "out", *CONFIG, "--allow-unreadable", "0.4")
    assert allowed.code == 0 and f"skipped {broken.stem}" in allowed.err and "2 clips, 0 newly" in allowed.out
    broken.write_bytes(content)
    mended = run("encode", data, "out", *CONFIG)
    assert mended.code == 0 and "3 clips, 1 newly" in mended.out


@pytest.mark.parametrize(
    ("arguments", "shows"),
    [
        ([], "neither --config nor --model"),
        (["--config", str(TINY), "--model", "m"], "both"),
        (["--model", "m", "--set", "seed=1"], "--set changes a config"),
        (["--config", str(TINY)], "encoders.face.frozen"),
        (["--config", str(TINY), *FROZEN, "--encoders", "face,audoi"], "did you mean 'audio'"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--model", "none"], "the folder of a saved model"),
        (["--config", str(TINY), *FROZEN, "--dtype", "int8"], "int8"),
        (["--config", str(TINY), *FROZEN, "--allow-unreadable", "2"], "--allow-unreadable"),
    ],
)
def test_wrong_command_lines_are_refused(
    arguments: list[str], shows: str, refused: Callable[..., None], workspace: Any
) -> None:
    errors = 2 if shows == "encoders.face.frozen" else 1
    refused(["encode", str(workspace.clips), "out", *arguments], shows, errors=errors)


def test_wrong_places_are_refused(refused: Callable[..., None], workspace: Any) -> None:
    config = [str(each) for each in CONFIG]
    refused(["encode", "nowhere.csv", "out", *config], "nowhere.csv")
    refused(["encode", str(workspace.clips), workspace.write("a file"), *config], "a file")
    workspace.write("full/of/things")
    refused(["encode", str(workspace.clips), "full", *config], "something else")


def test_other_settings_are_refused(run: Callable[..., Any], workspace: Any) -> None:
    data = workspace.data(1)
    assert run("encode", data, "out", *CONFIG).code == 0
    outcome = run("encode", data, "out", *CONFIG, "--set", "encoders.face.frames=5")
    assert outcome.code == 2 and "encoders.face.options.frames 6" in outcome.err and outcome.errors == 1


@pytest.mark.slow
def test_killed_with_decoding_processes(workspace: Any) -> None:
    script = "import torch; torch.set_num_threads(1); from affectgpt.cli.main import main; main()"
    arguments = [*map(str, CONFIG[:-1]), "2", "--batch-size", "1"]

    def started(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", script, "encode", str(workspace.clips), str(workspace.root / out), *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert started("whole").wait(timeout=300) == 0
    for name in ("cache.json", "files.jsonl", "index.jsonl"):
        process = started("killed")
        while not (workspace.root / "killed" / name).exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert started("killed").wait(timeout=300) == 0
    assert contents(workspace.root / "killed") == contents(workspace.root / "whole")
    for _ in range(100):
        if not [each for each in Path("/proc").glob("[0-9]*/cmdline") if names(each, str(workspace.root))]:
            return
        time.sleep(0.1)
    raise AssertionError("processes outlive the killed one")


def names(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes() and path.parent.name != str(os.getpid())
    except OSError:
        return False
