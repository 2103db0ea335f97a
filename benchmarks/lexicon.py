"""How near the `lexicon` extractor comes to human label sets, on the published wheels, and where it fails.

    python benchmarks/lexicon.py DESCRIPTIONS.csv WHEELS_FOLDER [--out benchmarks/results/lexicon.json]

The CSV has the columns name, english, chinese (descriptions of a clip) and openset (its human labels). Printed per
language: precision, recall and F of each wheel at level 1 and their mean, the spread of that mean over random halves
of the clips, and the labels behind the errors. A label is missed when its sector is missing on at least one wheel, and
extra when its sector is not among the human ones on at least two.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.core.extraction import build_extractor
from affectgpt.lexicon.families import lexicon
from affectgpt.registry.discovery import discover
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.wheels.official import read_official
from affectgpt.unibench.wheels.wheel_set import Wheel

LANGUAGES = ("english", "chinese")
HALVES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descriptions", type=Path)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with arguments.descriptions.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [parse_labels(row["openset"]) for row in rows]
    wheels = read_official(arguments.wheels)
    overlap = WheelOverlap(SectorTable(wheels))
    results: dict[str, Any] = {"clips": len(rows), "wheels": wheels.fingerprint}
    for language in LANGUAGES:
        texts = [row[language] for row in rows]
        predictions = read(texts)
        terms = overlap.terms(truth, predictions)
        results[language] = scores(overlap, terms) | errors(wheels.wheels, truth, predictions, read(texts, keep=0.0))
        show(language, results[language])
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(texts: Sequence[str], **options: float) -> list[list[str]]:
    """The labels of each text, by the installed plugin."""
    return [list(found.labels) for found in build_extractor("lexicon", options, discover()).emotions(texts)]


def scores(overlap: WheelOverlap, terms: np.ndarray) -> dict[str, Any]:
    """Per wheel and on average; the mean F over random halves of the clips, least, median and most."""
    columns = [(i, column.name) for i, column in enumerate(overlap.columns) if column.level == 1]
    by_column = overlap.by_column(terms.sum(axis=0))
    figures = overlap.figures(terms.sum(axis=0))
    shuffler = random.Random(0)
    halves = []
    for _ in range(HALVES):
        half = shuffler.sample(range(len(terms)), len(terms) // 2)
        halves.append(float(overlap.figures(terms[half].sum(axis=0))["f1"]))
    names = ("f1", "precision", "recall")
    return {
        "mean": {name: round(float(figures[name]), 4) for name in names},
        "per_wheel": {wheel: {name: round(float(by_column[name][i]), 4) for name in names} for i, wheel in columns},
        "labels_per_clip": round(float(figures["labels_per_clip"]), 2),
        "f1_of_halves": [round(value, 4) for value in (min(halves), statistics.median(halves), max(halves))],
    }


Sets = Sequence[Sequence[str]]


def errors(wheels: Sequence[Wheel], truth: Sets, said: Sets, all_said: Sets) -> dict[str, Any]:
    """The labels missed and extra, and why labels were missed; `all_said` is what is read without a threshold."""
    words = lexicon().words
    missed: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for true, predicted, possible in zip(truth, said, all_said, strict=True):
        for label in true:
            if sum(_apart(wheel, label, predicted) for wheel in wheels):
                family = words.get(label.lower(), "")
                missed[family or f"{label} (no family)"] += 1
                causes["no family" if not family else "said, too weak" if family in possible else "not asserted"] += 1
        extra.update(label for label in predicted if sum(_apart(wheel, label, true) for wheel in wheels) >= 2)
    return {"missed": dict(missed.most_common()), "missed_because": dict(causes), "extra": dict(extra.most_common())}


def _apart(wheel: Wheel, label: str, others: Sequence[str]) -> bool:
    sector = wheel.sector(label.lower().strip(), 1)
    return sector is not None and sector not in {wheel.sector(other.lower().strip(), 1) for other in others}


def show(language: str, result: dict[str, Any]) -> None:
    print(f"{language:12} {'F':>7} {'P':>7} {'R':>7}")
    for name, row in (*result["per_wheel"].items(), ("mean", result["mean"])):
        print(f"{name:12} {row['f1']:7.4f} {row['precision']:7.4f} {row['recall']:7.4f}")
    print("F of random halves: least {}, median {}, most {}".format(*result["f1_of_halves"]))
    print(f"labels per clip: {result['labels_per_clip']}")
    for name in ("missed_because", "missed", "extra"):
        rows = list(result[name].items())
        line = ", ".join(f"{label} {count}" for label, count in rows[:15])
        print(f"{name} ({sum(count for _, count in rows)}): {line}")
    print()


if __name__ == "__main__":
    main()
