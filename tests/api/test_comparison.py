"""Comparisons of plugins and settings through the public function."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import affectgpt.api as api
from affectgpt.registry.errors import ConfigError, PluginError
from tests.api.small import CLIPS, CONFIG, QUICK

FIXED = ["fusers.multi.plugin=concat"]


@pytest.fixture(autouse=True)
def _one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def small_config() -> dict[str, Any]:
    return api.plan(CONFIG, *QUICK).config.model_dump(mode="json")


def letters(texts: Sequence[str], samples: Sequence[api.Sample]) -> Mapping[str, float]:
    """A figure that differs from model to model, also after two steps."""
    return {"letters": sum(map(len, texts)) / len(samples), "clips": len(samples)}


def test_rows_of_changes_are_trained_with_every_seed() -> None:
    parts: list[str] = []

    def on_progress(what: str, count: int, total: int | None) -> None:
        if count == total:
            parts.append(what)

    vary = {"joined": FIXED, "less": ["fusers.multi=null", "prompt.template='{audio_tokens} {question}'"]}
    vary["less"].append("encoders.face=null")
    comparison = api.compare(small_config(), CLIPS, CLIPS, vary, seeds=(0, 1), progress=on_progress)
    assert [(row.name, row.seed) for row in comparison.rows] == [
        ("joined", 0),
        ("joined", 1),
        ("less", 0),
        ("less", 1),
    ]
    assert all(set(row.figures) == {"exact", "f1"} and row.seconds > 0 for row in comparison.rows)
    assert comparison.rows[2].parameters < comparison.rows[0].parameters
    # Read once: the second variant reads a part of the same samples.
    assert parts.count("reading train clips") == parts.count("reading test clips") == 1
    expected = api.train(small_config(), CLIPS, *FIXED, "seed=1", progress=False).losses
    assert comparison.rows[1].loss == pytest.approx(sum(expected) / 2)
    lines = repr(comparison).splitlines()
    assert lines[0].split() == ["exact", "f1", "parameters", "seconds"] and lines[1].startswith("joined")


def test_one_row_per_plugin_and_those_that_do_not_fit_are_noted() -> None:
    plugins = ["concat", "gated", "temporal-attention"]
    comparison = api.compare(small_config(), CLIPS, CLIPS, {"fusers.multi": plugins}, seeds=(0,), progress=False)
    names = [row.name for row in comparison.rows]
    assert names == ["concat", "gated"] and sum("was left out" in note for note in comparison.notes) == 1
    assert comparison.notes[0].startswith("temporal-attention was left out: it takes 1 input, and fusers.multi has 2")
    with pytest.raises(PluginError, match="there is no fuser plugin 'concatt'"):
        api.compare(small_config(), CLIPS, CLIPS, {"fusers.multi": ["concatt"]}, progress=False)


def test_finished_rows_are_kept_and_not_run_again() -> None:
    arguments = (small_config(), CLIPS, CLIPS)
    first = api.compare(*arguments, {"joined": FIXED}, seeds=(0,), metric=letters, out="out", progress=False)
    (stored,) = Path("out").iterdir()
    content = stored.read_bytes()
    parts: list[str] = []
    again = api.compare(
        *arguments,
        {"joined": FIXED, "as it is": []},
        seeds=(0,),
        metric=letters,
        out="out",
        progress=lambda what, done, total: parts.append(what),
    )
    assert stored.read_bytes() == content and again.rows[0] == first.rows[0] and len(again.rows) == 2
    assert "training: as it is" in parts and "training: joined" not in parts
    with pytest.raises(ConfigError, match=r"training\.lr"):
        api.compare(*arguments, {"joined": [*FIXED, "training.lr=0.1"]}, seeds=(0,), out="out", progress=False)
    changed = {"joined": [*FIXED, "training.lr=0.1"]}
    api.compare(*arguments, changed, seeds=(0,), out="out", resume=False, progress=False)
    assert json.loads(stored.read_text())["settings"]["training.lr"] == 0.1


def test_differences_are_paired_by_clip_and_seed() -> None:
    comparison = api.compare(
        small_config(), CLIPS, CLIPS, {"a": FIXED, "b": []}, seeds=(0, 1), metric=letters, progress=False
    )
    rows = {(row.name, row.seed): row.figures["letters"] for row in comparison.rows}
    letters_row, clips_row = comparison.paired("a", resamples=50)
    mean = sum(rows["b", seed] - rows["a", seed] for seed in (0, 1)) / 2
    assert letters_row.difference == pytest.approx(mean) and letters_row.low <= mean <= letters_row.high
    assert (letters_row.name, letters_row.baseline, letters_row.seeds, letters_row.clips) == ("b", "a", 2, 3)
    assert clips_row.difference == clips_row.low == clips_row.high == 0
    with pytest.raises(ConfigError, match="there is no row 'c'"):
        comparison.paired("c")


def test_a_comparison_as_a_frame_and_as_a_page() -> None:
    comparison = api.compare(small_config(), CLIPS, CLIPS, {"<b>": FIXED}, seeds=(0,), progress=False)
    assert "&lt;b&gt;" in comparison._repr_html_() and "<b>" not in comparison._repr_html_()
    frame = pytest.importorskip("pandas") and comparison.to_frame()
    assert list(frame.columns) == ["name", "seed", "exact", "f1", "parameters", "loss", "seconds"] and len(frame) == 1


@pytest.mark.parametrize(
    ("vary", "seeds", "words"),
    [
        ({}, (0,), "nothing to compare"),
        ({"a": []}, (), "each seed"),
        ({"a": []}, (1, 1), "each seed"),
        ({"a": ["fusers.multi.plugin=concatt"]}, (0,), "concatt"),
        ({"a": []}, 3, "seeds: "),
        ({"a": []}, (0, -1), "seeds: this is not a seed"),
        ({"a": []}, (0, "b"), "seeds: this is not a seed"),
        ([["a"]], (0,), "vary: the rows have no names"),
        ({3: []}, (0,), "vary: the name of a row"),
        ({"a": None}, (0,), "a row needs a list of changes"),
        ({"a": "seed=1"}, (0,), "a row needs a list of changes"),
        ({"a": [3]}, (0,), "changes: a change must be a text"),
    ],
)
def test_what_cannot_be_compared(vary: Any, seeds: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        api.compare(small_config(), CLIPS, CLIPS, vary, seeds=seeds, progress=False)


def test_a_metric_must_return_numbers() -> None:
    with pytest.raises(ConfigError, match="must return numbers by name"):
        api.compare(
            small_config(),
            CLIPS,
            CLIPS,
            {"a": []},
            seeds=(0,),
            metric=lambda texts, samples: 0.5,  # type: ignore[arg-type,return-value]
            progress=False,
        )


SCRIPT = f"""
import affectgpt.api as api
api.compare({str(CONFIG)!r}, {str(CLIPS)!r}, {str(CLIPS)!r}, {{"a": [], "b": {FIXED}}}, seeds=(0,), workers=2)
"""


@pytest.mark.slow
def test_workers_without_a_main_guard_are_one_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    outcome = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240)
    assert outcome.returncode == 1 and outcome.stderr.count("Traceback") == 1
    assert "needs a main guard" in outcome.stderr, outcome.stderr


@pytest.mark.slow
def test_processes_compute_the_same_rows() -> None:
    vary = {"a": FIXED, "b": []}
    rows = [
        api.compare(
            small_config(), CLIPS, CLIPS, vary, seeds=(0,), metric=letters, workers=workers, progress=False
        ).rows
        for workers in (0, 2)
    ]
    for in_process, in_worker in zip(*rows, strict=True):
        assert in_process.figures == in_worker.figures
        assert in_process.loss == pytest.approx(in_worker.loss, rel=1e-5)


def test_subtitles_that_are_cut_are_noted_once() -> None:
    short = ["prompt.max_subtitle_tokens=1"]
    arguments = (small_config(), CLIPS, CLIPS, {"joined": [*FIXED, *short]})
    for _ in range(2):
        comparison = api.compare(*arguments, seeds=(0, 1), out="out", progress=False)
        assert len(comparison.notes) == 2 and comparison.notes[1].startswith("test clips: ")
        assert all("subtitles are cut: the model reads their first 1 tokens" in note for note in comparison.notes)
