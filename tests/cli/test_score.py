from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRUE = {"a": ["happy"], "b": ["sad", "angry"], "c": ["surprised"], "d": ["afraid"]}
SAID = {"a": ["joyful"], "b": ["sad"], "c": ["happy"], "d": ["fearful"]}
TEXTS = {
    "a": "The man smiles broadly. He is happy.",
    "b": "She cries; she seems sad and also angry.",
    "c": "He is not sad, he is surprised.",
    "d": "The woman looks at the floor.",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "true.json").write_text(json.dumps(TRUE))
    (tmp_path / "said.json").write_text(json.dumps(SAID))
    rows = [{"id": name, "text": text, "seconds": 1.0} for name, text in TEXTS.items()]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def scored(run: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    outcome = run("score", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_labels_against_labels(files: Path, run: Callable[..., Any]) -> None:
    result = scored(run, "said.json", "--truth", "true.json", "--task", "fine-grained")
    (row,) = result["datasets"]
    assert row["clips"] == 4 and row["task"] == "fine-grained" and 0.5 < row["figures"]["recall"]["value"] < 1
    assert row["figures"]["f1"]["low"] < row["figures"]["f1"]["value"] < row["figures"]["f1"]["high"]
    assert result["official_wheels"] is False and result["settings"]["wheels"] == "affectgpt-lexicon"
    assert result["mean"] is None and "0 of its 9" in result["incomplete"]
    assert "extractor" not in result["settings"] and result["versions"]["affectgpt"]


def test_texts_are_read_out_by_the_extractor(files: Path, run: Callable[..., Any]) -> None:
    result = scored(run, "texts.jsonl", "--truth", "true.json", "--task", "fine-grained")
    (row,) = result["datasets"]
    worst = {clip["id"]: clip for clip in row["worst"]}
    assert (
        set(worst) >= {"d"} and "a" not in worst and worst["d"]["text"] == TEXTS["d"] and worst["d"]["predicted"] == []
    )
    assert result["settings"]["extractor"]["plugin"] == "lexicon"
    assert result["settings"]["read_as"] == {"true": "text (text)"}


def test_a_table_is_printed_and_reports_are_written(files: Path, run: Callable[..., Any]) -> None:
    outcome = run("score", "texts.jsonl", "--truth", "true.json", "--task", "fine-grained", "--out", "out")
    assert outcome.code == 0 and "F-score" in outcome.out and "written: out/report.html" in outcome.out
    assert "not the official" in " ".join(outcome.out.split())
    assert {path.name for path in (files / "out").iterdir()} == {
        "scores.json",
        "report.md",
        "report.tex",
        "report.html",
        "labels",
    }
    labels = [json.loads(line) for line in (files / "out/labels/true.texts.jsonl").read_text().splitlines()]
    assert [row["id"] for row in labels] == list(TEXTS) and labels[0]["labels"] == ["happy"]


def test_labels_that_were_read_out_are_not_read_again(files: Path, run: Callable[..., Any]) -> None:
    plugin = files / "counting.py"
    plugin.write_text(
        "from pathlib import Path\n"
        "from affectgpt import Extraction, ExtractorConfig, extractor\n"
        "class CountingConfig(ExtractorConfig):\n    word: str = 'happy'\n"
        "@extractor('counting', config=CountingConfig, summary='counts')\n"
        "class Counting:\n"
        "    def __init__(self, config, llm=None):\n        self.word = config.word\n"
        "    def emotions(self, texts):\n"
        "        with Path('count').open('a') as file:\n            file.write('x' * len(texts))\n"
        "        return [Extraction((self.word,)) for _ in texts]\n"
        "    sentiments = emotions\n"
    )
    command = ["texts.jsonl", "--truth", "true.json", "--task", "fine-grained", "--extractor", "counting"]
    command += ["--plugin", "counting.py", "--out", "out"]
    first = scored(run, *command)
    assert scored(run, *command) == first and len((files / "count").read_text()) == len(TEXTS)
    outcome = run("score", *command, "--set", "word=sad")
    assert outcome.code == 2 and "other settings" in outcome.err and "sad" in outcome.err
    plugin.write_text(plugin.read_text() + "# changed\n")
    changed = run("score", *command)
    assert changed.code == 2 and "extractor_code" in changed.err
    command[-1] = "elsewhere"
    assert scored(run, *command, "--set", "word=sad") != first


def test_two_systems_are_compared_in_pairs(files: Path, run: Callable[..., Any]) -> None:
    result = scored(run, "said.json", "--truth", "true.json", "--task", "fine-grained", "--against", "texts.jsonl")
    (row,) = result["comparisons"]
    assert row["other"] == "texts" and 0 < row["p_value"] <= 1 and row["clips"] == 4
    itself = scored(run, "said.json", "--truth", "true.json", "--task", "fine-grained", "--against", "said.json")
    assert itself["comparisons"][0]["p_value"] == 1 and itself["comparisons"][0]["difference"]["value"] == 0


def test_sentiment_is_read_out_of_texts(files: Path, run: Callable[..., Any]) -> None:
    (files / "values.json").write_text(json.dumps({"a": 2.0, "b": -1.0, "c": 0, "d": 0.5}))
    result = scored(run, "texts.jsonl", "--truth", "values.json", "--task", "sentiment")
    (row,) = result["datasets"]
    assert row["excluded"] == {"the true value is 0": 1}
    assert row["counted_wrong"] == {"the prediction is an error or could not be read": 1}
    assert row["figures"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_resampling_follows_the_options(files: Path, run: Callable[..., Any]) -> None:
    for name, values in (("true.json", TRUE), ("said.json", SAID)):
        (files / name).write_text(json.dumps({f"{key} {i}": value for i in range(15) for key, value in values.items()}))
    command = ["said.json", "--truth", "true.json", "--task", "fine-grained"]
    first = scored(run, *command)["datasets"]
    assert first == scored(run, *command)["datasets"]
    second = scored(run, *command, "--seed", "1", "--resamples", "177")
    assert second["datasets"] != first and second["settings"]["resampling"] == {"replicates": 177, "seed": 1}
    none = scored(run, *command, "--resamples", "0")
    assert none["datasets"][0]["figures"]["f1"]["low"] is None


BAD: dict[str, tuple[list[str], str]] = {
    "no truth": (["said.json"], "neither --truth nor --data"),
    "both": (["said.json", "--truth", "true.json", "--task", "basic", "--data", "."], "both --truth and --data"),
    "no task": (["said.json", "--truth", "true.json"], "--task"),
    "task and data": (["said.json", "--data", ".", "--task", "basic"], "--task goes with --truth"),
    "sets and truth": (["said.json", "--truth", "true.json", "--task", "fine-grained", "--sets", "meld"], "--sets"),
    "no predictions": (["none.json", "--truth", "true.json", "--task", "fine-grained"], "no such predictions"),
    "no extractor": (
        ["texts.jsonl", "--truth", "true.json", "--task", "fine-grained", "--extractor", "lexikon"],
        "lexicon",
    ),
    "an option": (["texts.jsonl", "--truth", "true.json", "--task", "fine-grained", "--set", "what=1"], "what"),
    "no wheels": (["said.json", "--truth", "true.json", "--task", "fine-grained", "--wheels", "none"], "wheels"),
    "missing": (["few.json", "--truth", "true.json", "--task", "fine-grained"], "3: b, c, d"),
    "several labels": (["said.json", "--truth", "true.json", "--task", "basic"], "one label per clip"),
    "no data": (["said.json", "--data", "folder"], "no data set is found"),
    "a pair of others": (
        ["said.json", "--truth", "true.json", "--task", "fine-grained", "--against", "few.json"],
        "3: b, c, d",
    ),
    "few replicates": (
        ["said.json", "--truth", "true.json", "--task", "fine-grained", "--resamples", "7"],
        "at least 100",
    ),
    "no folder": (
        ["said.json", "--truth", "true.json", "--task", "fine-grained", "--out", "true.json"],
        "not a folder",
    ),
    "no test": (
        ["said.json", "--truth", "true.json", "--task", "fine-grained", "--against", "said.json", "--resamples", "0"],
        "replicates",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_message(files: Path, run: Callable[..., Any], case: str) -> None:
    (files / "few.json").write_text(json.dumps({"a": ["happy"]}))
    (files / "folder").mkdir()
    arguments, words = BAD[case]
    before = sorted(files.rglob("*"))
    outcome = run("score", *arguments)
    assert outcome.code == 2 and words in outcome.err + outcome.out and "Traceback" not in outcome.err
    assert outcome.errors == 1 and outcome.out == ""
    again = run("score", *arguments, "--json")
    assert again.code == 2 and words in json.dumps(json.loads(again.out), ensure_ascii=False)
    assert sorted(files.rglob("*")) == before


def test_missing_predictions_are_what_the_option_says(files: Path, run: Callable[..., Any]) -> None:
    (files / "few.json").write_text(json.dumps({"a": ["happy"]}))
    command = ["few.json", "--truth", "true.json", "--task", "fine-grained"]
    assert scored(run, *command, "--missing", "exclude")["datasets"][0]["figures"]["recall"]["value"] == 1
    assert scored(run, *command, "--missing", "wrong")["datasets"][0]["figures"]["recall"]["value"] < 0.5


def test_official_wheels_give_the_official_numbers(files: Path, run: Callable[..., Any], shared: Path) -> None:
    fixtures, wheels = shared / "oracle" / "metrics", shared / "reference" / "emotion_wheel"
    result = scored(
        run, fixtures / "ov_pred.json", "--truth", fixtures / "ov_gt.json", "--task", "fine-grained", "--wheels", wheels
    )
    expected = json.loads((fixtures / "ov_expected.json").read_text())["all"]["level1"]["avg"]
    figures = result["datasets"][0]["figures"]
    assert result["official_wheels"] is True
    for ours, theirs in (("f1", "fscore"), ("precision", "precision"), ("recall", "recall")):
        assert figures[ours]["value"] == pytest.approx(expected[theirs], abs=1e-12)
    for dataset in ("SIMS", "CMUMOSI"):
        fixture = json.loads((fixtures / f"sent_{dataset}.json").read_text())
        (files / "t.json").write_text(json.dumps(fixture["labels"]))
        (files / "p.json").write_text(json.dumps(fixture["pred"]))
        figures = scored(run, "p.json", "--truth", "t.json", "--task", "sentiment")["datasets"][0]["figures"]
        expected = json.loads((fixtures / f"sent_{dataset}_expected.json").read_text())
        assert figures["weighted_f1"]["value"] == pytest.approx(expected["waf_weighted_f1"], abs=1e-12)
    fixture = json.loads((fixtures / "hit_MELD.json").read_text())
    (files / "t.json").write_text(json.dumps(fixture["gt"]))
    (files / "p.json").write_text(json.dumps(fixture["pred"]))
    figures = scored(run, "p.json", "--truth", "t.json", "--task", "basic", "--wheels", wheels)["datasets"][0][
        "figures"
    ]
    expected = json.loads((fixtures / "hit_MELD_expected.json").read_text())["avg"]
    assert figures["hit_rate"]["value"] == pytest.approx(expected["hitrate"], abs=1e-12)
