"""The demonstration's table over several training seeds: does the full model beat one modality beyond the noise?

    python benchmarks/tiny_seeds.py --seeds 3 --out benchmarks/results/tiny_seeds.json

All variants train on the same clips and are scored on the same held-out clips; only the training seed changes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from affectgpt.demo.run import VARIANTS, VariantRow, read_clips, run_variants, variant_plan, write_clips
from affectgpt.registry.discovery import discover


def main() -> None:
    """Write clips, train every variant with every seed, print the table and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=640)
    parser.add_argument("--test", type=int, default=128)
    parser.add_argument("--clip-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    catalog = discover()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_clips(
            path,
            train=arguments.train,
            test=arguments.test,
            seed=arguments.clip_seed,
            workers=arguments.workers,
            progress=_tell,
        )
        samples = read_clips(path, variant_plan("full model", catalog, 0), catalog, arguments.workers, _tell)
        jobs = [(name, seed) for seed in range(arguments.seeds) for name in VARIANTS]
        rows = []
        for row in run_variants(jobs, samples, workers=arguments.workers, progress=_tell):
            print(f"{row.name}, seed {row.seed}: {row.score.exact:.1%} right, F1 {row.score.f1:.3f}", flush=True)
            rows.append(row)
    summary = {name: _summary([row for row in rows if row.name == name]) for name in VARIANTS}
    print(f"\n{'model':15} emotion right: mean, least to most over {arguments.seeds} seeds    label F1")
    for name, facts in summary.items():
        print(
            f"{name:15} {facts['exact_mean']:.1%}, {facts['exact_least']:.1%} to {facts['exact_most']:.1%}"
            f"    {facts['f1_mean']:.3f}"
        )
    if arguments.out:
        machine = {
            "python": platform.python_version(),
            "torch": version("torch"),
            "processors": os.cpu_count(),
            "machine": platform.machine(),
        }
        result = {
            "command": "python " + " ".join(sys.argv),
            "machine": machine,
            "train_clips": arguments.train,
            "test_clips": arguments.test,
            "summary": summary,
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _summary(rows: list[VariantRow]) -> dict[str, float]:
    exact = [row.score.exact for row in rows]
    return {
        "exact_mean": statistics.mean(exact),
        "exact_least": min(exact),
        "exact_most": max(exact),
        "exact_sd": statistics.stdev(exact) if len(exact) > 1 else 0.0,
        "f1_mean": statistics.mean(row.score.f1 for row in rows),
        "seconds_mean": statistics.mean(row.seconds for row in rows),
    }


def _tell(what: str, done: int, total: int) -> None:
    if done == total:
        print(f"{what}: {done}", flush=True)


if __name__ == "__main__":
    main()
