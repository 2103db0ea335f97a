"""`score`: the same numbers from objects and files, what is refused, and what a score shows."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgpt.api.scores import BenchmarkScore, Score, score, score_benchmark
from affectgpt.cli.main import main
from affectgpt.data.example import Example
from affectgpt.registry.errors import ConfigError, DataError, PluginError

WORDS = ("happy", "sad", "angry", "afraid", "surprised", "joyful", "calm", "worried")
TRUE = {str(index): [WORDS[index % 8], WORDS[(index * 3 + 1) % 8]] for index in range(40)}
LABELS = {str(index): [WORDS[(index * 5) % 8], WORDS[(index + 2) % 8]] for index in range(40)}
TEXTS = {
    str(index): f"The man in this clip looks {WORDS[(index * 5) % 8]}, and then {WORDS[(index + 2) % 8]}."
    for index in range(40)
}
VALUES = {str(index): (index % 7 - 3) / 2 for index in range(40)}


class Series:
    """What is used of a series of pandas."""

    def __init__(self, values: list[Any], index: Any = None) -> None:
        self.values = values
        if index is not None:
            self.index = index

    def to_list(self) -> list[Any]:
        return list(self.values)


class Frame:
    """What is used of a data frame of pandas or polars."""

    def __init__(self, columns: dict[str, list[Any]], index: Any = None) -> None:
        self._columns = columns
        self.columns = list(columns)
        if index is not None:
            self.index = index

    def __getitem__(self, name: str) -> Series:
        return Series(self._columns[name])


def jsonl(path: Path, values: dict[str, Any], field: str) -> Path:
    path.write_text("".join(json.dumps({"id": name, field: value}) + "\n" for name, value in values.items()))
    return path


def in_all_forms(folder: Path, values: dict[str, Any], field: str) -> dict[str, Any]:
    with (folder / f"{field}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", field])
        writer.writerows(
            (name, json.dumps(value) if isinstance(value, list) else value) for name, value in values.items()
        )
    (folder / f"{field}.json").write_text(json.dumps(values))
    return {
        "mapping": values,
        "integer ids": {int(name): value for name, value in values.items()},
        "list": list(values.values()),
        "tuple": tuple(values.values()),
        "frame": Frame({"id": list(values), field: list(values.values())}),
        "frame with an index": Frame({field: list(values.values())}, index=np.arange(40)),
        "frame by position": Frame({field: list(values.values())}),
        "series": Series(list(values.values()), index=[int(name) for name in values]),
        "series by position": Series(list(values.values())),
        "csv": folder / f"{field}.csv",
        "json": str(folder / f"{field}.json"),
        "jsonl": jsonl(folder / f"{field}.jsonl", values, field),
    }


def on_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    monkeypatch.setattr(sys, "argv", ["affectgpt", "score", *map(str, words), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("predicted", "field", "true", "task"),
    [
        (LABELS, "labels", TRUE, "fine-grained"),
        (TEXTS, "text", TRUE, "fine-grained"),
        ({name: value[0] for name, value in LABELS.items()}, "label", {n: v[0] for n, v in TRUE.items()}, "basic"),
        pytest.param(TEXTS, "text", VALUES, "sentiment", marks=pytest.mark.slow),
    ],
)
def test_every_form_of_the_inputs_gives_the_same_bits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    predicted: dict[str, Any],
    field: str,
    true: dict[str, Any],
    task: Any,
) -> None:
    truth_file = tmp_path / "truth.json"
    truth_file.write_text(json.dumps(true))
    predictions = in_all_forms(tmp_path, predicted, field)
    printed = on_command_line(monkeypatch, capsys, predictions["jsonl"], "--truth", truth_file, "--task", task)
    expected = printed["datasets"][0]
    for form, values in predictions.items():
        for truth in (true, truth_file, list(true.values())):
            result = score(values, truth).to_dict()["datasets"][0]  # type: ignore[index]
            assert result["task"] == task, form
            assert result["figures"] == expected["figures"] and result["per_wheel"] == expected["per_wheel"], form
            assert list(result["worst"]) == [
                {**clip, "predicted": tuple(clip["predicted"]), "true": tuple(clip["true"])}
                for clip in expected["worst"]
            ]


def test_the_inputs_may_be_mixed_and_texts_stand_beside_lists() -> None:
    result = score({"a": "She is beaming with joy.", "b": ["angry"]}, {"a": ["happy"], "b": ["sad"]}, resamples=0)
    assert float(result) == result["f1"] == 0.5 and result["precision"] == 0.5 and result.clips == 2
    read = {clip.id: clip for clip in result.worst}
    assert read["b"].predicted == ("angry",) and "a" not in read
    assert score(["happy", "sad"], ["joyful", "sad"], resamples=0).task == "basic"
    assert score(["positive", "negative"], [1.0, -0.4], task="sentiment", resamples=0)["accuracy"] == 1.0
    assert score([["happy"]], Series([np.array(["happy"])]), resamples=0).task == "fine-grained"


def test_official_wheels_give_the_official_numbers(shared: Path) -> None:
    fixtures, wheels = shared / "oracle" / "metrics", shared / "reference" / "emotion_wheel"

    def read(name: str) -> Any:
        return json.loads((fixtures / f"{name}.json").read_text(encoding="utf-8"))

    result = score(read("ov_pred"), read("ov_gt"), wheels=wheels, resamples=0)
    expected = read("ov_expected")["all"]["level1"]["avg"]
    for ours, theirs in (("f1", "fscore"), ("precision", "precision"), ("recall", "recall")):
        assert result[ours] == pytest.approx(expected[theirs], abs=1e-12)
    for dataset in ("SIMS", "CMUMOSI"):
        fixture = read(f"sent_{dataset}")
        result = score(fixture["pred"], fixture["labels"], resamples=0)
        assert float(result) == pytest.approx(read(f"sent_{dataset}_expected")["waf_weighted_f1"], abs=1e-12)
    fixture = read("hit_MELD")
    result = score(fixture["pred"], fixture["gt"], task="basic", wheels=wheels, resamples=0)
    assert float(result) == pytest.approx(read("hit_MELD_expected")["avg"]["hitrate"], abs=1e-12)


BAD: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "missing": ({"a": ["sad"]}, {"a": ["sad"], "b": ["sad"]}, {}, 'missing="exclude"'),
    "unknown": ({"a": ["sad"], "z": ["sad"]}, {"a": ["sad"]}, {}, 'unknown="exclude"'),
    "repeated": (Frame({"id": ["a", "a"], "labels": [["sad"], ["sad"]]}), {"a": ["sad"]}, {}, "a 2 times"),
    "repeated truth": ({"a": ["sad"]}, Series([["sad"], ["sad"]], ["a", "a"]), {}, "twice for one id"),
    "lengths": (["sad"], ["sad", "angry"], {}, "1 values, and 2 true ones"),
    "positions and ids": (["sad"], {"a": "sad"}, {}, "by position cannot be matched"),
    "no ids in common": ({"b": ["sad"]}, {"a": ["sad"]}, {}, "id_column="),
    "a value of no kind": ({"a": {"label": "sad"}}, {"a": ["sad"]}, {}, "predictions, 'a'"),
    "labels of no kind": ({"a": [1, 2]}, {"a": ["sad"]}, {}, "list of labels"),
    "an id of no kind": ({1.5: ["sad"]}, {"a": ["sad"]}, {}, "neither a text nor an integer"),
    "numbers and labels": ({"a": "sad", "b": "sad"}, {"a": 1.0, "b": "sad"}, {}, "task="),
    "a number for labels": ({"a": 3.5}, {"a": ["sad"]}, {}, "neither a text"),
    "several labels": ({"a": ["sad"]}, {"a": ["sad", "angry"]}, {"task": "basic"}, "one label per clip"),
    "no sentiment": ({"a": "sad"}, {"a": 1.0}, {}, 'read="text"'),
    "nothing": ({}, {"a": "sad"}, {}, "no values"),
    "no kind of values": (7, {"a": "sad"}, {}, "a mapping of ids"),
    "two columns": (Frame({"id": ["a"], "labels": ["sad"], "emotion": ["sad"]}), {"a": "sad"}, {}, "pass column="),
    "no column": (Frame({"id": ["a"], "answer": ["sad"]}), {"a": "sad"}, {}, "pass column="),
    "another column": (Frame({"id": ["a"], "labels": ["sad"]}), {"a": "sad"}, {"column": "label"}, "'label'"),
    "other ids": (Frame({"id": ["a"], "labels": ["sad"]}), {"a": "sad"}, {"id_column": "clips"}, "'clips'"),
    "no file": ("none.jsonl", {"a": "sad"}, {}, "none.jsonl"),
}
BAD_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "task": ({"task": "finegrained"}, "fine-grained"),
    "extractor": ({"extractor": "lexikon"}, "lexicon"),
    "resamples": ({"resamples": 7}, "at least 100"),
    "no test": ({"resamples": 0, "against": {"a": ["sad"]}}, "paired test"),
    "missing": ({"missing": "skip"}, "exclude"),
    "read": ({"read": "prose"}, "labels"),
}


@pytest.mark.parametrize("case", BAD)
def test_inputs_that_do_not_fit_are_refused_with_what_to_do(case: str) -> None:
    predictions, truth, options, words = BAD[case]
    with pytest.raises(DataError) as error:
        score(predictions, truth, **options)
    assert words in str(error.value) and "--" not in str(error.value)


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_settings_that_do_not_exist_are_refused(case: str) -> None:
    options, words = BAD_SETTINGS[case]
    with pytest.raises((ConfigError, PluginError)) as error:
        score({"a": ["sad"]}, {"a": ["sad"]}, **options)
    assert words in str(error.value)


def test_clips_without_a_prediction_and_predictions_without_a_clip_count_as_asked() -> None:
    truth = {"a": ["sad"], "b": ["happy"]}
    assert score({"a": ["sad"], "z": ["sad"]}, truth, missing="exclude", unknown="exclude", resamples=0)["recall"] == 1
    wrong = score({"a": ["sad"]}, truth, missing="wrong", resamples=0)
    assert wrong["recall"] == 0.5 and sum(wrong.counted_wrong.values()) == 1 and wrong.excluded == {}


def test_a_score_is_a_number_a_table_and_a_report(tmp_path: Path) -> None:
    result = score(LABELS, TRUE, resamples=200, seed=3, system="<b>mine</b>")
    low, high = result.interval("f1") or (1, 0)
    assert isinstance(result, Score) and low < float(result) < high
    assert result.figures["f1"] == float(result) and list(result) == list(result.figures) and "recall" in result
    assert str(result) == repr(result) and "fine-grained, 40 clips: f1" in repr(result) and len(repr(result)) < 500
    page = result._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page and "<b>mine" not in page and "F-score" in page
    assert result.to_markdown().count("\n") == 3 and "F-score" in result.to_markdown()
    assert r"\begin{tabular}" in result.to_latex()
    names = [path.name for path in result.save(tmp_path / "out")]
    assert names == ["scores.json", "report.md", "report.tex", "report.html"]
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    with pytest.raises(KeyError, match="precision"):
        result["precison"]
    assert result.comparison is None and result.notes == {}
    assert [clip.score for clip in result.worst] == sorted(clip.score for clip in result.worst)


def test_a_figure_without_a_value_is_not_a_number() -> None:
    result = score({"a": []}, {"a": ["sad"]}, resamples=0)
    assert math.isnan(float(result)) and result.interval("f1") is None


def test_a_frame_of_the_figures_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    result = score(LABELS, TRUE, resamples=100)
    frames: list[tuple[Any, list[str]]] = []

    class Pandas:
        @staticmethod
        def DataFrame(rows: Any, columns: list[str]) -> str:
            frames.append((rows, columns))
            return "frame"

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    assert result.to_frame() == "frame"
    rows, columns = frames[0]
    assert columns == ["figure", "value", "low", "high"] and rows[0][:2] == ("f1", float(result))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PluginError, match="pip install pandas"):
        result.to_frame()


def test_two_systems_are_compared_in_pairs(tmp_path: Path) -> None:
    worse = {name: ["disgusted"] if int(name) % 2 else value for name, value in LABELS.items()}
    result = score(LABELS, TRUE, against=worse)
    test = result.comparison
    assert test is not None and test.difference > 0 and test.baseline == "against" and test.clips == 40
    assert test.low is not None and test.high is not None and test.low < test.difference < test.high
    assert 0 < test.p_value < 0.2 and test.difference == pytest.approx(float(result) - float(score(worse, TRUE)))
    path = jsonl(tmp_path / "worse.jsonl", worse, "labels")
    assert score(LABELS, TRUE, against=path).comparison == type(test)(
        "worse", test.difference, test.low, test.high, test.p_value, test.clips
    )


def test_labels_that_were_read_are_kept_and_not_read_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = score(TEXTS, TRUE, out=out)
    stored = out / "labels" / "truth.predictions.jsonl"
    assert len(stored.read_text().splitlines()) == 40 and first.files[0].name == "scores.json"
    stored.write_text(stored.read_text().replace('"happy"', '"sad"'))
    assert score(TEXTS, TRUE, out=out)["f1"] != first["f1"]
    with pytest.raises(DataError, match="other settings"):
        score({**TEXTS, "0": "Another text, of a man who seems calm."}, TRUE, out=out)
    with pytest.raises(DataError, match="not a folder"):
        score(TEXTS, TRUE, out=stored)


def test_a_folder_of_the_benchmark_gives_one_score_per_data_set(benchmark_folder: Path, tmp_path: Path) -> None:
    from affectgpt.unibench.score_inputs import data_sources

    for source in data_sources(benchmark_folder, media=False):
        truth = source.truth()
        predicted = {
            name: ("positive" if value > 0 else "negative") if truth.task == "sentiment" else value
            for name, value in truth.values.items()
        }
        jsonl(tmp_path / f"{truth.dataset}.jsonl", predicted, "labels")
    result = score(tmp_path, benchmark_folder)
    assert isinstance(result, BenchmarkScore) and len(result.datasets) == 9 and "9 data sets" in repr(result)
    assert float(result) == result["mean"] == pytest.approx(np.mean([float(each) for each in result.datasets.values()]))
    assert result["meld"] == float(result.datasets["meld"]) == 1.0
    assert result.datasets["meld"]["hit_rate"] == 1.0 and result.datasets["sims"].task == "sentiment"
    two = score_benchmark(tmp_path, benchmark_folder, sets=["MELD", "sims"], resamples=0)
    assert list(two.datasets) == ["meld", "sims"]  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="no mean"):
        float(two)
    one = score_benchmark(tmp_path, benchmark_folder, sets=["meld"], resamples=0)
    assert type(one) is Score and float(one) == 1.0
    with pytest.raises(ConfigError, match="leave it out"):
        score(tmp_path, benchmark_folder, task="basic")
    (tmp_path / "meld.jsonl").unlink()
    with pytest.raises(DataError, match="meld"):
        score(tmp_path, benchmark_folder)


def test_examples_are_a_truth() -> None:
    examples = [Example(name, Path(f"{name}.mp4"), "", (label,), "") for name, label in (("a", "sad"), ("b", "happy"))]
    assert score({"a": ["sad"], "b": ["happy"]}, examples, resamples=0)["f1"] == 1.0


def test_progress_is_reported_and_plugins_are_taken() -> None:
    calls: list[tuple[str, int, int | None]] = []
    score(LABELS, TRUE, resamples=0, progress=lambda *call: calls.append(call))
    assert calls[-1] == ("scoring truth", 40, 40)


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys; from affectgpt.api import score\n"
        "print(float(score(['He looks really very sad today.'], [['sad']], resamples=0)), 'torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["1.0", "False"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_numbers_are_sentiments_by_their_sign() -> None:
    truth = {"a": 1.0, "b": -0.5, "c": 0.2}
    words = score({"a": "positive", "b": "negative", "c": "neutral"}, truth, resamples=0)
    for numbers in ({"a": 0.1, "b": -3, "c": 0}, {"a": "positive", "b": np.float32(-1), "c": 0.0}):
        assert score(numbers, truth, resamples=0).figures == words.figures
    by_position = score(np.array([0.1, -3, 0]), np.array([1.0, -0.5, 0.2]), resamples=0)
    assert by_position.figures == words.figures
    examples = [Example(name, Path(f"{name}.mp4"), "", (), "", value) for name, value in truth.items()]
    assert score({"a": 0.1, "b": -3, "c": 0}, examples, resamples=0).figures == words.figures


def test_numbers_beside_texts_are_sentiments_by_their_sign() -> None:
    mixed = score({"a": "He is very angry and sad about all of this.", "b": 0.4}, {"a": -1.0, "b": 1.0}, resamples=0)
    assert float(mixed) == 1 and not mixed.notes


@pytest.mark.parametrize("resamples", ["100", 100.0, None])
def test_a_number_of_replicates_is_an_integer(resamples: Any) -> None:
    with pytest.raises(ConfigError, match="the number of replicates is not an integer"):
        score(["happy"], ["happy"], resamples=resamples)


def test_a_system_may_be_named_by_a_number() -> None:
    named = score(["happy"], ["happy"], resamples=0, system=3)  # type: ignore[arg-type]
    assert named.system == "3" and "<b>3</b>" in named._repr_html_()
