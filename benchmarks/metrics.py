"""The wheel metric against a straightforward loop, and how its time and memory grow with the number of clips.

    python benchmarks/metrics.py [--wheels FOLDER] [--clips 20000] [--repeats 7] [--largest 1000000] [--out FILE.json]

Part 1 scores the same written label sets on all wheels at both levels, both ways in one process, in turns: `loop`
parses, maps and intersects per clip, wheel and level, with ready dictionaries; `vectorised` is `WheelOverlap` with
`Tally`, without and with 1000 bootstrap replicates. The two must agree to 1e-12.

Part 2 streams ever more clips through `Tally`, each size in a process of its own; the clips are made as they are read,
and the time to make them is measured apart and taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.unibench.label_extraction import chunks
from affectgpt.unibench.label_text import parse_labels
from affectgpt.unibench.metrics.overlap import WheelOverlap
from affectgpt.unibench.metrics.sector_table import SectorTable
from affectgpt.unibench.resampling import Resampling, TermSums
from affectgpt.unibench.scoring import CHUNK
from affectgpt.unibench.wheels.load import load_wheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, WheelSet

RENDERINGS = ("[{}]", "{}", "['{}']")
Maps = Mapping[tuple[str, int], Mapping[str, str]]


def words_of(wheels: WheelSet) -> list[str]:
    """Every word that stands on a wheel, and some that stand on none."""
    words = {
        word for wheel in wheels.wheels for inner in wheel.tree.values() for each in inner.values() for word in each
    }
    return sorted(words) + [f"unknown word {index}" for index in range(20)]


def made(words: list[str], clips: int) -> Iterator[tuple[str, str, str]]:
    """Name, true and predicted labels as written, of `clips` random clips: 1 to 6 labels each."""
    draw = random.Random(0)
    for index in range(clips):
        written = []
        for _ in range(2):
            form = draw.choice(RENDERINGS)
            labels = draw.sample(words, draw.randint(1, 6))
            written.append(form.format(("', '" if "'" in form else ", ").join(labels)))
        yield f"clip_{index:08d}", written[0], written[1]


def loop(maps: Maps, rows: list[tuple[str, str, str]]) -> dict[tuple[str, int], tuple[float, float, float]]:
    """Precision, recall and F per wheel and level, the plain way."""
    scores = {}
    for key, sector in maps.items():
        precision, recall = [], []
        for _, true, predicted in rows:
            true_sectors = {
                sector[label]
                for written_label in parse_labels(true)
                if (label := written_label.lower().strip()) in sector
            }
            predicted_sectors = {
                sector[label]
                for written_label in parse_labels(predicted)
                if (label := written_label.lower().strip()) in sector
            }
            if not true_sectors:
                continue
            both = len(true_sectors & predicted_sectors)
            precision.append(both / len(predicted_sectors) if predicted_sectors else 0.0)
            recall.append(both / len(true_sectors))
        p, r = float(np.mean(precision)), float(np.mean(recall))
        scores[key] = (p, r, 2 * p * r / (p + r) if p + r else float("nan"))
    return scores


def vectorised(
    wheels: WheelSet, rows: Iterator[tuple[str, str, str]], replicates: int
) -> tuple[WheelOverlap, TermSums]:
    """The same by this project, in chunks."""
    metric = WheelOverlap(SectorTable(wheels))
    tally = TermSums(metric, Resampling(replicates))
    for chunk in chunks(rows, CHUNK):
        names, true, predicted = zip(*chunk, strict=True)
        tally.add(names, metric.terms(true, predicted))
    return metric, tally


def only_wheels(wheels: WheelSet) -> WheelSet:
    """Without the two comparisons that use no wheel, which the loop does not make either."""
    return WheelSet(wheels.name, wheels.wheels, wheels.source, wheels.official, wheels.fingerprint)


def compare(wheels: WheelSet, clips: int, repeats: int) -> dict[str, Any]:
    words = words_of(wheels)
    maps = {
        (wheel.name, level): {word: figures for word in words if (figures := wheel.sector(word, level)) is not None}
        for level in LEVELS
        for wheel in wheels.wheels
    }
    rows = list(made(words, clips))
    times: dict[str, list[float]] = {"loop": [], "vectorised": [], "with 1000 replicates": []}
    plain = only_wheels(wheels)
    for _ in range(repeats):
        begun = time.perf_counter()
        scores = loop(maps, rows)
        times["loop"].append(time.perf_counter() - begun)
        for name, replicates in (("vectorised", 0), ("with 1000 replicates", 1000)):
            begun = time.perf_counter()
            metric, tally = vectorised(plain, iter(rows), replicates)
            tally.figures()
            times[name].append(time.perf_counter() - begun)
    figures = metric.by_column(tally.sums)
    for index, column in enumerate(metric.columns):
        theirs = scores[(column.name, column.level)]
        ours = [figures[name][index] for name in ("precision", "recall", "f1")]
        assert np.allclose(ours, theirs, rtol=0, atol=1e-12, equal_nan=True), (column, ours, theirs)
    result: dict[str, Any] = {"clips": clips, "seconds": {name: spread(each) for name, each in times.items()}}
    for name in ("vectorised", "with 1000 replicates"):
        result[f"loop / {name}"] = spread([a / b for a, b in zip(times["loop"], times[name], strict=True)])
    return result


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": round(middle, 4), "quartile_1": round(low, 4), "quartile_3": round(high, 4)}


def one_size(wheels: WheelSet, clips: int, replicates: int) -> dict[str, float]:
    """Time and peak memory of a stream of clips in this process."""
    words = words_of(wheels)
    begun = time.perf_counter()
    for _ in made(words, clips):
        pass
    making = time.perf_counter() - begun
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    vectorised(wheels, made(words, clips), replicates)[1].figures()
    took = time.perf_counter() - begun - making
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "clips": clips,
        "replicates": replicates,
        "seconds": round(took, 3),
        "microseconds_per_clip": round(1e6 * took / clips, 2),
        "peak_mib": round(peak / 1024, 1),
        "grown_mib": round((peak - before) / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="the folder of the official wheels; default: the shipped ones")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one-size", type=int, nargs=2, metavar=("CLIPS", "REPLICATES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    wheels = load_wheels(options.wheels)
    if options.one_size:
        print(json.dumps(one_size(wheels, *options.one_size)))
        return
    result: dict[str, Any] = {
        "wheels": f"{wheels.name}, {len(wheels.wheels)} wheels, {len(LEVELS)} levels",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" numpy {np.__version__}",
        "compared": compare(wheels, options.clips, options.repeats),
        "growth": [],
    }
    print(json.dumps(result["compared"], indent=1))
    sizes = [size for size in (10_000, 30_000, 100_000, 300_000, 1_000_000) if size <= options.largest]
    for replicates in (0, 1000):
        for size in sizes:
            command = [sys.executable, __file__, "--one-size", str(size), str(replicates)]
            command += ["--wheels", str(options.wheels)] if options.wheels else []
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            result["growth"].append(row)
            print(row, flush=True)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
