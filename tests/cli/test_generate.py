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


@pytest.fixture(scope="session")
def benchmark_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nine data sets in small, two clips each. Not to be changed by a test."""
    from affectgpt.synthetic.difficulty import Difficulty
    from affectgpt.synthetic.unibench import write_unibench

    folder = tmp_path_factory.mktemp("benchmark") / "data"
    write_unibench(folder, clips_per_set=2, seed=3, workers=2, difficulty=Difficulty(seconds=(1.0, 1.3)))
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_clip_of_a_folder_gets_a_row(run: Callable[..., Any], place: Any) -> None:
    outcome = run("generate", place.clips, "--out", "out", "--model", place.model, "--limit", "5", "--batch-size", "2")
    assert outcome.code == 0, outcome.err
    (path,) = (place.here / "out").glob("*.jsonl")
    found = rows(path)
    assert len(found) == 5 and f"{path.relative_to(place.here)}: 5 rows, 5 new" in outcome.out
    for row in found:
        assert set(row) - {"notes"} == {"id", "text", "attribution", "seconds", "model", "prompt", "seed"}
        assert 0.9 < row["seconds"] < 1.5 and row["model"].startswith("model@") and row["seed"] == 0
        assert row["attribution"]["counted"].keys() == {"face", "audio", "subtitle"}
    settings = json.loads(path.with_suffix(".run.json").read_text())
    assert settings["clips"] == 5 and settings["batch_size"] == 2 and settings["versions"]["torch"]


def test_a_second_run_adds_nothing_and_other_settings_are_refused(run: Callable[..., Any], place: Any) -> None:
    command = ["generate", place.clips, "--out", "out", "--model", place.model, "--limit", "2"]
    assert run(*command).code == 0
    (path,) = (place.here / "out").glob("*.jsonl")
    whole = path.read_bytes()
    again = run(*command)
    assert again.code == 0 and "2 rows, 0 new" in again.out and path.read_bytes() == whole
    other = run(*command, "--question", "Who?")
    assert other.code == 2 and "question 'Who?'" in other.err and other.errors == 1 and path.read_bytes() == whole
    longer = run(*command[:-1], "3")
    assert longer.code == 2 and "clips 2" in longer.err and path.read_bytes() == whole


def test_a_cut_file_goes_on_to_the_same_bytes(run: Callable[..., Any], place: Any) -> None:
    command = ["generate", place.clips, "--out", "out", "--model", place.model, "--limit", "4", "--batch-size", "3"]
    assert run(*command).code == 0
    (path,) = (place.here / "out").glob("*.jsonl")
    whole = path.read_bytes()
    for kept in (0, 10, len(whole) * 2 // 3, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert run(*command).code == 0 and path.read_bytes() == whole, kept


def test_what_is_made_again_after_a_kill_is_a_window_of_batches(run: Callable[..., Any], place: Any) -> None:
    # Clips change places within 4 batches of 2.
    command = ["generate", place.clips, "--out", "out", "--model", place.model, "--limit", "11", "--batch-size", "2"]
    assert run(*command).code == 0
    (path,) = (place.here / "out").glob("*.jsonl")
    whole = path.read_bytes()
    assert json.loads(path.with_suffix(".run.json").read_text())["window"] == 8
    lines = whole.splitlines(keepends=True)
    for kept, again in ((0, 11), (5, 11), (8, 3), (10, 3), (11, 0)):
        path.write_bytes(b"".join(lines[:kept]) + (lines[kept][:30] if kept < 11 else b""))
        outcome = run(*command)
        assert f"11 rows, {again} new" in outcome.out and path.read_bytes() == whole, kept


def test_a_clip_that_ends_its_process_stops_the_run_and_is_named(
    run: Callable[..., Any], place: Any, deadly: list[str]
) -> None:
    for index, video in enumerate(sorted((place.clips / "video").iterdir())[:6]):
        shutil.copy(video, place.here / f"{'deadly' if index == 4 else 'clip'}{index}.mp4")
    names = [f"clip{index}.mp4" for index in range(4)]
    place.write("mine.jsonl", "".join(json.dumps({"clip": each}) + "\n" for each in [*names, "deadly4.mp4"]))
    outcome = run("generate", "mine.jsonl", "--out", "out", *deadly, "--batch-size", "1")
    assert outcome.code == 1 and outcome.errors == 1 and "Traceback" not in outcome.err
    assert "deadly4" in outcome.err and "exit code 7" in outcome.err
    assert [row["id"] for row in rows(place.here / "out" / "mine.jsonl")] == [f"clip{index}" for index in range(4)]


def test_the_question_changes_the_prompt_s_hash(run: Callable[..., Any], place: Any) -> None:
    hashes = set()
    for number, question in enumerate(("What?", "Who?")):
        command = ["generate", place.clips, "--out", f"out{number}", "--model", place.model, "--limit", "1"]
        assert run(*command, "--question", question).code == 0
        hashes.add(rows(next((place.here / f"out{number}").glob("*.jsonl")))[0]["prompt"])
    assert len(hashes) == 2


def test_a_broken_clip_is_an_error_row_and_the_rest_go_on(run: Callable[..., Any], place: Any) -> None:
    data = place.data(3)
    broken = sorted((data / "video").iterdir())[1]
    broken.write_bytes(b"no video")
    assert run("generate", data, "--out", "out", "--model", place.model).code == 0
    found = rows(place.here / "out" / "data.jsonl")
    assert [bool(row.get("error")) for row in found] == [False, True, False]
    assert broken.name in found[1]["error"] and found[1]["text"] == "" and found[2]["text"]


def test_workers_are_nothing(run: Callable[..., Any], place: Any) -> None:
    for workers in ("0", "2"):
        command = ["generate", place.clips, "--out", workers, "--model", place.model, "--limit", "3"]
        assert run(*command, "--workers", workers).code == 0
    one, other = (next((place.here / workers).glob("*.jsonl")).read_bytes() for workers in ("0", "2"))
    assert one == other


def test_own_data_by_a_manifest_is_generated_and_scored(run: Callable[..., Any], place: Any) -> None:
    videos = sorted((place.clips / "video").iterdir())[:2]
    for video in videos:
        shutil.copy(video, place.here)
    lines = [{"clip": video.name, "subtitle": "Hello.", "labels": ["happy"]} for video in videos]
    place.write("mine.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert run("generate", "mine.jsonl", "--out", "out", "--model", place.model).code == 0
    assert [row["id"] for row in rows(place.here / "out" / "mine.jsonl")] == [video.stem for video in videos]
    outcome = run("score", "out/mine.jsonl", "--data", "mine.jsonl", "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["datasets"][0]["clips"] == 2
    settings = json.loads(outcome.out)["settings"]["predictions"]
    assert settings["model"].startswith("model@") and settings["seed"] == 0


def test_the_nine_data_sets_are_generated_and_scored(run: Callable[..., Any], place: Any, benchmark_data: Path) -> None:
    assert run("generate", benchmark_data, "--out", "out", "--model", place.model).code == 0
    assert len(list((place.here / "out").glob("*.jsonl"))) == 9
    outcome = run("score", "out", "--data", benchmark_data, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert len(result["datasets"]) == 9 and "data sets are here" not in result["incomplete"]
    values = [each["figures"][each["primary"]]["value"] for each in result["datasets"]]
    # An untrained model may miss all, and the official F-score then has no value.
    assert result["mean"] is None if None in values else result["mean"]["value"] == pytest.approx(sum(values) / 9)
    assert {each["task"] for each in result["datasets"]} == {"fine-grained", "basic", "sentiment"}
    assert result["datasets"][0]["expected"] == 411
    assert all(any("synthetic" in note for note in each["notes"]) for each in result["datasets"])
    some = run("score", "out", "--data", benchmark_data, "--sets", "MELD", "--sets", "sims", "--json")
    assert [each["dataset"] for each in json.loads(some.out)["datasets"]] == ["meld", "sims"]
    (place.here / "out" / "meld.jsonl").unlink()
    outcome = run("score", "out", "--data", benchmark_data)
    assert outcome.code == 2 and "meld" in outcome.err


def test_one_command_does_it_all_and_goes_on(run: Callable[..., Any], place: Any, benchmark_data: Path) -> None:
    command = [
        "unibench",
        "out",
        "--data",
        benchmark_data,
        "--model",
        place.model,
        "--sets",
        "iemocap",
        "--sets",
        "ovmerdplus",
    ]
    outcome = run(*command, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert result == json.loads((place.here / "out" / "scores.json").read_text())
    assert [each["clips"] + sum(each["excluded"].values()) for each in result["datasets"]] == [2, 2]
    files = {path: path.read_bytes() for path in (place.here / "out").rglob("*") if path.is_file()}
    assert run(*command).code == 0
    assert {path: path.read_bytes() for path in (place.here / "out").rglob("*") if path.is_file()} == files


def test_two_runs_do_not_work_in_one_folder(run: Callable[..., Any], place: Any, benchmark_data: Path) -> None:
    (place.here / "out").mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from affectgpt.files.locks import alone\n"
            "with alone(Path('out')): print('ready', flush=True); sys.stdin.read()",
        ],
        cwd=place.here,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        outcome = run("unibench", "out", "--data", benchmark_data, "--model", place.model)
        assert outcome.code == 2 and "another process" in outcome.err
    finally:
        holder.communicate()


def test_other_synthetic_data_does_not_replace_what_predictions_are_of(run: Callable[..., Any], place: Any) -> None:
    (place.here / "out" / "predictions").mkdir(parents=True)
    outcome = run("unibench", "out", "--synthetic", "1")
    assert outcome.code == 2 and "other synthetic data" in outcome.err and not (place.here / "out" / "data").exists()


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
def test_bad_input_is_refused_before_anything_is_written(refused: Callable[..., None], place: Any, case: str) -> None:
    place.write("a.mp4")
    place.write("unlabelled.jsonl", '{"clip": "a.mp4"}')
    arguments, words = BAD[case]
    refused([str(place.clips) if each == "CLIPS" else each for each in arguments], words)
