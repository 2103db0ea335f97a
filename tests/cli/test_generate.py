from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_WORKERS = ("--workers", "0")


@pytest.fixture(scope="session")
def benchmark_data(write_once: Callable[..., Path]) -> Path:
    """The nine data sets in small, two clips each. Not to be changed by a test."""
    from affectgpt.synthetic.difficulty import Difficulty
    from affectgpt.synthetic.unibench import write_unibench

    short = Difficulty(seconds=(1.0, 1.3))
    return write_once(
        "sets/data", lambda folder: write_unibench(folder, clips_per_set=2, seed=3, workers=2, difficulty=short)
    )


def generate(workspace: Any, out: str = "out", *, limit: int, batch_size: int = 8, workers: int = 0) -> list[object]:
    """The command line for the first `limit` clips."""
    places = ("--out", out, "--model", workspace.model)
    return ["generate", workspace.clips, *places, "--workers", workers, "--batch-size", batch_size, "--limit", limit]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_clip_of_a_folder_gets_a_row(run: Callable[..., Any], workspace: Any) -> None:
    outcome = run(*generate(workspace, limit=5, batch_size=2))
    assert outcome.code == 0, outcome.err
    (path,) = (workspace.root / "out").glob("*.jsonl")
    table = rows(path)
    assert len(table) == 5 and f"{path.relative_to(workspace.root)}: 5 rows, 5 new" in outcome.out
    for row in table:
        assert set(row) - {"notes"} == {"id", "text", "attribution", "seconds", "model", "prompt", "seed"}
        assert 0.9 < row["seconds"] < 1.5 and row["model"].startswith("model@") and row["seed"] == 0
        assert row["attribution"]["counted"].keys() == {"face", "audio", "subtitle"}
    settings = json.loads(path.with_suffix(".run.json").read_text())
    assert settings["clips"] == 5 and settings["batch_size"] == 2 and settings["versions"]["torch"]


def test_a_second_run_adds_nothing_and_other_settings_are_refused(run: Callable[..., Any], workspace: Any) -> None:
    command = generate(workspace, limit=2)
    assert run(*command).code == 0
    (path,) = (workspace.root / "out").glob("*.jsonl")
    content = path.read_bytes()
    again = run(*command)
    assert again.code == 0 and "2 rows, 0 new" in again.out and path.read_bytes() == content
    second = run(*command, "--question", "Who?")
    assert second.code == 2 and "question 'Who?'" in second.err and second.errors == 1 and path.read_bytes() == content
    longer = run(*command[:-1], "3")
    assert longer.code == 2 and "clips 2" in longer.err and path.read_bytes() == content


def test_a_cut_file_goes_on_to_the_same_bytes(run: Callable[..., Any], workspace: Any) -> None:
    command = generate(workspace, limit=4, batch_size=3)
    assert run(*command).code == 0
    (path,) = (workspace.root / "out").glob("*.jsonl")
    content = path.read_bytes()
    for length in (0, 10, len(content) * 2 // 3, len(content) - 1):
        path.write_bytes(content[:length])
        assert run(*command).code == 0 and path.read_bytes() == content, length


def test_what_is_made_again_after_a_kill_is_a_window_of_batches(run: Callable[..., Any], workspace: Any) -> None:
    # Clips change places within 4 batches of 2.
    command = generate(workspace, limit=11, batch_size=2, workers=2)
    assert run(*command).code == 0
    (path,) = (workspace.root / "out").glob("*.jsonl")
    content = path.read_bytes()
    assert json.loads(path.with_suffix(".run.json").read_text())["window"] == 8
    lines = content.splitlines(keepends=True)
    for length, again in ((5, 11), (10, 3), (11, 0)):
        path.write_bytes(b"".join(lines[:length]) + (lines[length][:30] if length < 11 else b""))
        outcome = run(*command)
        assert f"11 rows, {again} new" in outcome.out and path.read_bytes() == content, length


def test_a_clip_that_ends_its_process_stops_the_run_and_is_named(
    run: Callable[..., Any], workspace: Any, deadly: list[str]
) -> None:
    for index, video in enumerate(sorted((workspace.clips / "video").iterdir())[:6]):
        shutil.copy(video, workspace.root / f"{'deadly' if index == 4 else 'clip'}{index}.mp4")
    names = [f"clip{index}.mp4" for index in range(4)]
    workspace.write("mine.jsonl", "".join(json.dumps({"clip": clip}) + "\n" for clip in [*names, "deadly4.mp4"]))
    outcome = run("generate", "mine.jsonl", "--out", "out", *deadly, "--batch-size", "1")
    assert outcome.code == 1 and outcome.errors == 1 and "Traceback" not in outcome.err
    assert "deadly4" in outcome.err and "exit code 7" in outcome.err
    assert [row["id"] for row in rows(workspace.root / "out" / "mine.jsonl")] == [f"clip{index}" for index in range(4)]


def test_the_question_changes_the_prompt_s_hash(run: Callable[..., Any], workspace: Any) -> None:
    hashes = set()
    for number, question in enumerate(("What?", "Who?")):
        command = generate(workspace, f"out{number}", limit=1)
        assert run(*command, "--question", question).code == 0
        hashes.add(rows(next((workspace.root / f"out{number}").glob("*.jsonl")))[0]["prompt"])
    assert len(hashes) == 2


def test_a_broken_clip_is_an_error_row_and_the_rest_go_on(run: Callable[..., Any], workspace: Any) -> None:
    data = workspace.data(3)
    broken = sorted((data / "video").iterdir())[1]
    broken.write_bytes(b"no video")
    assert run("generate", data, "--out", "out", "--model", workspace.model, *NO_WORKERS).code == 0
    table = rows(workspace.root / "out" / "data.jsonl")
    assert [bool(row.get("error")) for row in table] == [False, True, False]
    assert broken.name in table[1]["error"] and table[1]["text"] == "" and table[2]["text"]


def test_a_clip_of_which_nothing_can_be_read_is_an_error_row(run: Callable[..., Any], workspace: Any) -> None:
    data = workspace.data(2)
    header = (ROOT / "tests" / "media" / "no_samples.wav").read_bytes()
    sorted((data / "video").iterdir())[1].write_bytes(header)
    assert run("generate", data, "--out", "out", "--model", workspace.model, *NO_WORKERS).code == 0
    table = rows(workspace.root / "out" / "data.jsonl")
    assert table[0]["text"] and not table[1]["text"] and "nothing in this clip" in table[1]["error"]


def test_workers_are_nothing(run: Callable[..., Any], workspace: Any) -> None:
    for workers in ("0", "2"):
        command = ["generate", workspace.clips, "--out", workers, "--model", workspace.model, "--limit", "3"]
        assert run(*command, "--workers", workers).code == 0
    without, with_workers = (next((workspace.root / workers).glob("*.jsonl")).read_bytes() for workers in ("0", "2"))
    assert without == with_workers


def test_own_data_by_a_manifest_is_generated_and_scored(run: Callable[..., Any], workspace: Any) -> None:
    videos = sorted((workspace.clips / "video").iterdir())[:2]
    for video in videos:
        shutil.copy(video, workspace.root)
    lines = [{"clip": video.name, "subtitle": "Hello.", "labels": ["happy"]} for video in videos]
    workspace.write("mine.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert run("generate", "mine.jsonl", "--out", "out", "--model", workspace.model, *NO_WORKERS).code == 0
    assert [row["id"] for row in rows(workspace.root / "out" / "mine.jsonl")] == [video.stem for video in videos]
    outcome = run("score", "out/mine.jsonl", "--data", "mine.jsonl", "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["datasets"][0]["clips"] == 2
    settings = json.loads(outcome.out)["settings"]["predictions"]
    assert settings["model"].startswith("model@") and settings["seed"] == 0


def test_the_nine_data_sets_are_generated_and_scored(
    run: Callable[..., Any], workspace: Any, benchmark_data: Path
) -> None:
    assert run("generate", benchmark_data, "--out", "out", "--model", workspace.model, *NO_WORKERS).code == 0
    assert len(list((workspace.root / "out").glob("*.jsonl"))) == 9
    outcome = run("score", "out", "--data", benchmark_data, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert len(result["datasets"]) == 9 and "data sets are here" not in result["incomplete"]
    values = [dataset["figures"][dataset["primary"]]["value"] for dataset in result["datasets"]]
    # An untrained model may miss all, and the official F-score then has no value.
    assert result["mean"] is None if None in values else result["mean"]["value"] == pytest.approx(sum(values) / 9)
    assert {dataset["task"] for dataset in result["datasets"]} == {"fine-grained", "basic", "sentiment"}
    assert result["datasets"][0]["expected"] == 411
    assert all(any("synthetic" in note for note in dataset["notes"]) for dataset in result["datasets"])
    outcome = run("score", "out", "--data", benchmark_data, "--sets", "MELD", "--sets", "sims", "--json")
    assert [dataset["dataset"] for dataset in json.loads(outcome.out)["datasets"]] == ["meld", "sims"]
    (workspace.root / "out" / "meld.jsonl").unlink()
    outcome = run("score", "out", "--data", benchmark_data)
    assert outcome.code == 2 and "meld" in outcome.err


def test_one_command_does_it_all_and_goes_on(run: Callable[..., Any], workspace: Any, benchmark_data: Path) -> None:
    command = [
        "unibench",
        "out",
        "--data",
        benchmark_data,
        "--model",
        workspace.model,
        *NO_WORKERS,
        "--sets",
        "iemocap",
        "--sets",
        "ovmerdplus",
    ]
    outcome = run(*command, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert result == json.loads((workspace.root / "out" / "scores.json").read_text())
    assert [dataset["clips"] + sum(dataset["excluded"].values()) for dataset in result["datasets"]] == [2, 2]
    files = {path: path.read_bytes() for path in (workspace.root / "out").rglob("*") if path.is_file()}
    assert run(*command).code == 0
    assert {path: path.read_bytes() for path in (workspace.root / "out").rglob("*") if path.is_file()} == files


def test_two_runs_do_not_work_in_one_folder(run: Callable[..., Any], workspace: Any, benchmark_data: Path) -> None:
    (workspace.root / "out").mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from affectgpt.files.locks import exclusive\n"
            "with exclusive(Path('out')): print('ready', flush=True); sys.stdin.read()",
        ],
        cwd=workspace.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        outcome = run("unibench", "out", "--data", benchmark_data, "--model", workspace.model)
        assert outcome.code == 2 and "another process" in outcome.err
    finally:
        holder.communicate()


def test_other_synthetic_data_does_not_replace_what_predictions_are_of(run: Callable[..., Any], workspace: Any) -> None:
    (workspace.root / "out" / "predictions").mkdir(parents=True)
    outcome = run("unibench", "out", "--synthetic", "1")
    assert (
        outcome.code == 2 and "other synthetic data" in outcome.err and not (workspace.root / "out" / "data").exists()
    )


BAD: dict[str, tuple[list[str], str]] = {
    "no data": (["generate", "none", "--out", "out"], "no data set is found"),
    "an unknown set": (["generate", "CLIPS", "--out", "out", "--sets", "melt"], "meld"),
    "no model": (["generate", "CLIPS", "--out", "out", "--model", "none"], "none"),
    "no GPU": (["generate", "CLIPS", "--out", "out", "--device", "cuda"], "CUDA"),
    "no way": (["unibench", "out"], "--synthetic"),
    "both ways": (["unibench", "out", "--data", "CLIPS", "--synthetic", "2"], "--synthetic"),
    "no labels": (["unibench", "out", "--data", "unlabelled.jsonl"], "no labels to score"),
    "no wheels": (["unibench", "out", "--data", "CLIPS", "--wheels", "none"], "wheels"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_anything_is_written(
    refused: Callable[..., None], workspace: Any, case: str
) -> None:
    workspace.write("a.mp4")
    workspace.write("unlabelled.jsonl", '{"clip": "a.mp4"}')
    arguments, words = BAD[case]
    refused([str(workspace.clips) if word == "CLIPS" else word for word in arguments], words)
