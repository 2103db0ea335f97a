"""How many labels have a sector on the shipped emotion wheels, and how the wheels agree with the official ones.

    python benchmarks/wheels.py LABELS.csv --official emotion_wheel --out benchmarks/results/wheels.json

LABELS.csv has a column `openset` (OV-MERD's ovlabel.csv). Coverage is the share of label occurrences, and of distinct
labels, with a sector, per wheel and level; the official vocabulary is the column `name` of format.csv.

Agreement is over all pairs of distinct labels that have a sector on most wheels of both sets: a set says "alike" when
most of its wheels that hold both labels put them into one level-1 sector. Reported are the share of pairs on which
both sets say the same, and Cohen's kappa, which takes off what chance gives.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

from affectgpt.data.csv_table import open_text, rows
from affectgpt.lexicon.families import lexicon
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.wheels.official import read_official
from affectgpt.unibench.wheels.shipped import shipped_wheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, Wheel, WheelSet


def coverage(wheels: WheelSet, counts: Counter[str]) -> dict[str, Any]:
    """Per wheel and level: the share of occurrences and of distinct labels with a sector."""
    result: dict[str, Any] = {}
    for wheel in wheels.wheels:
        for level in LEVELS:
            covered = {label for label in counts if wheel.sector(label, level) is not None}
            result.setdefault(wheel.name, {})[f"level {level}"] = {
                "occurrences": sum(counts[label] for label in covered) / counts.total(),
                "distinct": len(covered) / len(counts),
            }
    return result


def agreement(one: WheelSet, other: WheelSet, labels: Iterable[str]) -> dict[str, float]:
    """Over pairs of labels: how often both sets say the same of them, alike or not, and Cohen's kappa."""
    shared_labels = sorted(
        label for label in labels if _mostly_there(one.wheels, label) and _mostly_there(other.wheels, label)
    )
    says = [(_alike(one.wheels, *pair), _alike(other.wheels, *pair)) for pair in combinations(shared_labels, 2)]
    same = sum(first == second for first, second in says) / len(says)
    shares = [sum(each[side] for each in says) / len(says) for side in (0, 1)]
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    return {
        "labels": len(shared_labels),
        "pairs": len(says),
        "alike here": shares[0],
        "alike there": shares[1],
        "same": same,
        "kappa": (same - chance) / (1 - chance),
    }


def _mostly_there(wheels: tuple[Wheel, ...], label: str) -> bool:
    return sum(wheel.sector(label, 1) is not None for wheel in wheels) > len(wheels) / 2


def _alike(wheels: tuple[Wheel, ...], one: str, other: str) -> bool:
    sectors = [(wheel.sector(one, 1), wheel.sector(other, 1)) for wheel in wheels]
    agreements = [first == second for first, second in sectors if first is not None and second is not None]
    return sum(agreements) > len(agreements) / 2


def _counts(path: Path, column: str) -> Counter[str]:
    with open_text(path) as file:
        return Counter(label.lower() for _, row in rows(file, path) for label in parse_labels(row[column]))


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    counts = _counts(arguments.labels, "openset")
    start = time.perf_counter()
    shipped = shipped_wheels()
    took = time.perf_counter() - start
    result: dict[str, Any] = {
        "labels from": arguments.labels.name,
        "machine": {"python": platform.python_version(), "machine": platform.machine()},
        "simplemma": version("simplemma"),
        "wheels": shipped.name,
        "fingerprint": shipped.fingerprint,
        "seconds to load": round(took, 3),
        "labels": {"occurrences": counts.total(), "distinct": len(counts)},
        "coverage of the labels": coverage(shipped, counts),
        "coverage of the extractor's labels": coverage(shipped, Counter(list(lexicon().families))),
    }
    if arguments.official:
        official = read_official(arguments.official)
        words = _counts(arguments.official / "format.csv", "name")
        result["coverage of the official vocabulary"] = {"words": len(words), **coverage(shipped, words)}
        result["coverage on the official wheels"] = coverage(official, counts)
        result["agreement with the official wheels"] = agreement(shipped, official, counts)
    for title in (each for each in result if each.startswith("coverage")):
        for name, levels in result[title].items():
            if isinstance(levels, dict):
                shares = (f"{level} {values['occurrences']:.1%}" for level, values in levels.items())
                print(f"{title}: {name:9}", *shares)
    print("agreement", result.get("agreement with the official wheels", "not measured"))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
