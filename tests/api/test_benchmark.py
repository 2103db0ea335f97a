"""`predict`, `unibench` and `doctor`: files of predictions, a whole benchmark, and a folder of data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectgpt.api import benchmark
from affectgpt.api.benchmark import doctor, predict, unibench
from affectgpt.api.data_sets import read_examples
from affectgpt.api.models import load
from affectgpt.registry.errors import ConfigError, DataError

QUICK = {"batch_size": 2, "progress": False}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_of_a_name_and_of_a_pipeline_hold_the_same_texts(synthetic_folder: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []
    (file,) = predict(
        "tiny",
        synthetic_folder,
        tmp_path / "out",
        limit=3,
        batch_size=2,
        progress=lambda *call: calls.append(call),
    )
    assert file == (tmp_path / "out" / f"{synthetic_folder.name}.jsonl", 3, 3)
    assert ("loading the model", 1, 1) in calls and calls[-1] == (synthetic_folder.name, 3, 3)
    assert predict("tiny", synthetic_folder, tmp_path / "out", limit=3, **QUICK)[0].new == 0
    examples = read_examples(synthetic_folder)
    pipeline = load("tiny")
    (file_of_list,) = predict(pipeline, examples, tmp_path / "other", limit=3, **QUICK)
    assert file_of_list.path.name == "examples.jsonl"
    named, unnamed = rows(file.path), rows(file_of_list.path)
    assert [row["text"] for row in named] == [row["text"] for row in unnamed]
    assert named[0]["model"].startswith("tiny@") and unnamed[0]["model"].startswith("pipeline@")
    assert list(named[0]) == ["id", "text", "attribution", "seconds", "model", "prompt", "seed"]
    with pytest.raises(DataError, match="question"):
        predict("tiny", synthetic_folder, tmp_path / "out", limit=3, question="Who?", **QUICK)


def test_a_benchmark_continues_where_it_stopped(
    benchmark_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"sets": ["iemocap", "SIMS"], "limit": 2, "resamples": 0, **QUICK}
    with monkeypatch.context() as broken:
        broken.setattr(benchmark, "run_scorer", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            unibench("tiny", benchmark_folder, out, **options)
    before = {path.name: path.read_bytes() for path in (out / "predictions").glob("*.jsonl")}
    score = unibench("tiny", benchmark_folder, out, **options)
    assert before == {path.name: path.read_bytes() for path in (out / "predictions").glob("*.jsonl")}
    assert sorted(score) == ["iemocap", "sims"] and score.system == "tiny"
    assert [path.name for path in score.files] == ["scores.json", "report.md", "report.tex", "report.html"]
    assert all(path.is_file() for path in score.files) and (out / "labels" / "iemocap.tiny.jsonl").is_file()


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (None, {}, "synthetic="),
        ("data", {"synthetic": 2}, "synthetic="),
        ("data", {"resamples": 7}, "at least 100"),
        ("data", {"sets": ["melt"]}, "meld"),
        ("data", {}, "no data set is found"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str | None, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, DataError)) as error:
        unibench("tiny", data, "out", **options)
    assert words in str(error.value) and "--" not in str(error.value) and not (tmp_path / "out").exists()


def test_other_synthetic_data_does_not_replace_that_of_predictions(tmp_path: Path) -> None:
    (tmp_path / "out" / "predictions").mkdir(parents=True)
    with pytest.raises(DataError, match="other synthetic data"):
        unibench("tiny", None, tmp_path / "out", synthetic=1, progress=False)


def test_a_list_of_something_else_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="these are not examples"):
        predict("tiny", ["a.mp4"], tmp_path)  # type: ignore[list-item]
    with pytest.raises(DataError, match="there are no clips"):
        predict("tiny", [], tmp_path)


def test_a_doctor_finds_what_is_missing(synthetic_folder: Path, tmp_path: Path) -> None:
    report = doctor(synthetic_folder, decode=False)
    assert report.healthy and report.sets[0].clips == 32 and report.sets[0].decoded is None
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "mine.jsonl").write_text('{"clip": "clip.mp4"}\n')
    calls: list[tuple[str, int, int | None]] = []
    report = doctor(tmp_path / "mine.jsonl", progress=lambda *call: calls.append(call))
    assert not report.healthy and len(report.sets[0].problems) == 1 and calls == [("decoding mine.jsonl", 1, 1)]
    with pytest.raises(DataError, match="no data set is found"):
        doctor(tmp_path / "nowhere")
