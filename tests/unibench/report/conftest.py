"""Results for the report tests: whole, of one data set, and with texts that try to break out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from affectgpt.unibench.result import (
    BenchmarkResult,
    Comparison,
    Confusion,
    DatasetResult,
    Figure,
    WorstClip,
)

FEELINGS = {
    "joy": {"bliss": ["bliss", "blissful", "狂喜"], "gladness": ["glad", "happy", "cheerful", "快乐", "高兴"]},
    "trust": {"regard": ["admiring", "fond"], "ease": ["calm", "accepting", "平静"]},
    "fear": {"dread": ["terrified", "panicked"], "worry": ["worried", "anxious", "afraid", "担忧"]},
    "surprise": {"wonder": ["amazed", "astonished"], "muddle": ["confused", "distracted", "惊讶"]},
    "sadness": {"grief": ["grieving", "heartbroken"], "gloom": ["sad", "lonely", "disappointed", "悲伤"]},
    "disgust": {"loathing": ["loathing"], "distaste": ["disgusted", "bored", "厌恶"]},
    "anger": {"rage": ["furious", "enraged"], "vexation": ["angry", "annoyed", "irritated", "愤怒"]},
    "waiting": {"alertness": ["watchful"], "interest": ["curious", "hopeful", "期待"]},
}
SIMPLE = {
    "positive": {"warm": ["happy", "glad"], "bright": ["excited", "hopeful"]},
    "negative": {"hot": ["angry", "annoyed"], "cold": ["sad", "lonely"]},
    "mixed": {"mixed": ["confused", "surprised"]},
}
SETS = (
    ("ovmerdplus", "OV-MERD+", "fine-grained", "f1", 532),
    ("mer2023", "MER2023", "basic", "hit_rate", 411),
    ("mer2024", "MER2024", "basic", "hit_rate", 1169),
    ("iemocap", "IEMOCAP", "basic", "hit_rate", 1241),
    ("meld", "MELD", "basic", "hit_rate", 2610),
    ("mosi", "CMU-MOSI", "sentiment", "weighted_f1", 686),
    ("mosei", "CMU-MOSEI", "sentiment", "weighted_f1", 4659),
    ("sims", "CH-SIMS", "sentiment", "weighted_f1", 457),
    ("simsv2", "CH-SIMS v2", "sentiment", "weighted_f1", 1034),
)
SECONDARY = {"f1": ("precision", "recall"), "hit_rate": ("labels_per_clip",), "weighted_f1": ("accuracy",)}


def confusion(wheel: str, sectors: list[str], draw: random.Random) -> Confusion:
    counts = {
        true: {
            predicted: round(draw.uniform(30, 60) if predicted == true else draw.choice([0, 0, draw.uniform(1, 15)]), 2)
            for predicted in [*sectors, ""]
        }
        for true in sectors
    }
    return Confusion(wheel, counts)


def figure(draw: random.Random, low: float = 0.3, high: float = 0.9) -> Figure:
    value = draw.uniform(low, high)
    wide = (high - low) / 20
    return Figure(value, value - draw.uniform(wide / 2, wide), value + draw.uniform(wide / 2, wide))


def dataset(key: str, title: str, task: str, primary: str, clips: int, draw: random.Random) -> DatasetResult:
    figures = {primary: figure(draw)}
    figures |= {name: figure(draw, 1.2, 3.4) if "labels" in name else figure(draw) for name in SECONDARY[primary]}
    on_wheels = task != "sentiment"
    worst = tuple(
        WorstClip(
            f"{key}_{k:04}",
            "The woman lowers her voice and looks away; 她低声说话，看起来很难过。 " * 2,
            ("calm", "happy"),
            ("sad", "disappointed", "calm"),
            k / 10,
        )
        for k in range(3)
    )
    return DatasetResult(
        key,
        title,
        task,
        primary,
        figures,
        clips - 7,
        {"no true label has a place on any wheel": 4, "no answer": 3},
        {"the prediction is an error": 2},
        {"predictions of unknown clips, left out": 1},
        clips,
        {wheel: {primary: draw.uniform(0.2, 0.9)} for wheel in ("feelings", "simple")} if on_wheels else {},
        (confusion("feelings", list(FEELINGS), draw), confusion("simple", list(SIMPLE), draw)) if on_wheels else (),
        worst,
    )


@pytest.fixture(scope="session")
def full_result() -> BenchmarkResult:
    """Nine data sets, all figures with different values."""
    draw = random.Random(4)
    datasets = tuple(dataset(*each, draw) for each in SETS)
    return BenchmarkResult(
        "AffectGPT, tiny fusion",
        datasets,
        Figure(0.71234, 0.70321, 0.72468),
        "",
        True,
        {"extractor": {"plugin": "lexicon", "words": 7386}, "seed": 3, "wheels": ["feelings", "simple"]},
        {"affectgpt": "0.1.0", "python": "3.11.9"},
        (
            Comparison("mer2023", "baseline", Figure(0.0345, 0.0111, 0.0577), 0.0123, 404),
            Comparison("meld", "baseline", Figure(-0.0456, -0.0666, -0.0222), 0.00001, 2603),
        ),
        {"feelings": FEELINGS, "simple": SIMPLE},
    )


@pytest.fixture
def one(full_result: BenchmarkResult) -> BenchmarkResult:
    """One data set, no mean, wheels that are not the official ones."""
    return replace(
        full_result,
        datasets=full_result.datasets[:1],
        mean=None,
        incomplete="8 of 9 data sets are missing",
        official_wheels=False,
    )


@pytest.fixture
def with_texts(full_result: BenchmarkResult) -> Callable[[str], BenchmarkResult]:
    """A function of a text that gives a result which holds it wherever a text from outside can be."""

    def make(text: str) -> BenchmarkResult:
        tree: dict[str, Any] = {text: {text: [text, "word"]}, "joy": {"glad": ["happy"]}}
        clip = WorstClip(text, text, (text,), (text, "happy"), 0.0)
        data = replace(
            full_result.datasets[0],
            title=text,
            task=text,
            excluded={text: 2},
            counted_wrong={text: 1},
            notes={text: 3},
            worst=(clip,),
            confusion=(Confusion(text, {text: {"joy": 3.0, text: 1.0, "": 2.0}, "joy": {text: 2.0}}),),
            per_wheel={text: {"f1": 0.5}},
            figures={**full_result.datasets[0].figures, text: Figure(0.4321)},
        )
        return replace(
            full_result,
            system=text,
            datasets=(data,),
            mean=None,
            incomplete=text,
            settings={text: [text], "x": {text: 1}},
            versions={text: text},
            comparisons=(Comparison(text, text, Figure(0.1), 0.2, 3),),
            wheel_trees={text: tree},
        )

    return make
