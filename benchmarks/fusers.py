"""Every fuser in the small pipeline: parameters, score on held-out clips over seeds, and time per clip.

    python benchmarks/fusers.py --seeds 3 --out benchmarks/results/fusers.json

Each stands in one line of `configs/tiny.yaml`, and nothing else changes: a fuser of several inputs in the line `multi`,
one that takes a single input in the line `face_tokens`. With `--alone` the language model reads nothing but what the
fuser under test gives (and the subtitle), so that a fuser which loses what it is given cannot hide behind the other
lines; a fuser of a single input then stands for both `face_tokens` and `audio_tokens`, without fusion. Options are the
defaults but for those in OPTIONS, and all train on the same clips. The floor is the score of giving every clip the one
training description that scores best.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from affectgpt.core.plan import Plan
from affectgpt.demo.run import VariantRow, read_clips, run_variants, tiny_plan, write_clips
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.score import score_texts

FUSED = ("fusers.face_tokens=null", "fusers.audio_tokens=null", "prompt.template='{multi} {subtitle} {question}'")
COMPRESSED = ("fusers.multi=null", "prompt.template='{audio_tokens}{face_tokens} {subtitle} {question}'")
OPTIONS = {"qformer": "queries: 8", "temporal-attention": "scale: 0.1", "modality-attention": "scale: 0.1"}
"""What a fuser needs to be trained from nothing at the rate of `configs/tiny.yaml`, as `key: value, ...`."""


def overrides(catalog: Catalog, name: str, alone: bool) -> tuple[str, ...]:
    """What puts the fuser `name` into `configs/tiny.yaml`."""
    options = f", {OPTIONS[name]}" if name in OPTIONS else ""
    single = catalog.config_class(catalog.get("fuser", name)).arity == (1, 1)
    if not alone:
        node, inputs = ("face_tokens", "face") if single else ("multi", "face, audio")
        return (f"fusers.{node}={{plugin: {name}, inputs: [{inputs}]{options}}}",)
    if single:
        return (
            *COMPRESSED,
            *(
                f"fusers.{stream}_tokens={{plugin: {name}, inputs: [{stream}]{options}}}"
                for stream in ("face", "audio")
            ),
        )
    return (*FUSED, f"fusers.multi={{plugin: {name}, inputs: [face, audio]{options}}}")


def milliseconds(catalog: Catalog, changes: Sequence[str], samples: Sequence[Any], rounds: int = 15) -> float:
    """Median milliseconds that fusing takes per clip, in a batch of 32 and with one thread, in evaluation."""
    import torch

    from affectgpt.core.assembly import assemble
    from affectgpt.data.samples import batches

    torch.set_num_threads(1)
    pipeline = assemble(tiny_plan(catalog, 0, changes)).eval()
    batch, _ = next(iter(batches(samples, 32)))
    with torch.no_grad():
        encoded = pipeline.encode(batch)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            pipeline.fuse(encoded)
            times.append((time.perf_counter() - start) * 1000 / len(batch))
    return statistics.median(times)


def main() -> None:
    """Write clips, train every fuser with every seed, print the table and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=640)
    parser.add_argument("--test", type=int, default=128)
    parser.add_argument("--steps", type=int, help="default: those of configs/tiny.yaml")
    parser.add_argument("--clip-seed", type=int, default=21)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="the language model reads the fuser's tokens only")
    parser.add_argument("--only", nargs="*", help="names of fusers; default: all that are found")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    catalog = discover()
    names = arguments.only or catalog.names("fuser")
    variants = {name: overrides(catalog, name, arguments.alone) for name in names}
    plans = {name: tiny_plan(catalog, 0, changes) for name, changes in variants.items()}
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
        samples = read_clips(path, tiny_plan(catalog, 0), catalog, arguments.workers, _tell)
    truths = [sample.description for sample in samples["test"]]
    texts = {sample.description for sample in samples["train"]}
    floor = max(score_texts([text] * len(truths), truths).exact for text in texts)
    speed = {name: milliseconds(catalog, changes, samples["test"]) for name, changes in variants.items()}
    jobs = [(name, seed) for seed in range(arguments.seeds) for name in names]
    steps = [f"training.steps={arguments.steps}"] if arguments.steps else []
    rows: list[VariantRow] = []
    for row in run_variants(
        jobs, samples, workers=arguments.workers, variants=variants, overrides=steps, progress=_tell
    ):
        print(f"{row.name}, seed {row.seed}: {row.score.exact:.1%} right, {row.seconds:.0f} s", flush=True)
        rows.append(row)
    table = [
        {
            "fuser": name,
            "parameters": _parameters(plans[name], name),
            "scores": [row.score.exact for row in sorted(rows, key=lambda row: row.seed) if row.name == name],
            "milliseconds_per_clip": speed[name],
            "changes": variants[name],
        }
        for name in names
    ]
    table.sort(key=lambda row: -statistics.mean(row["scores"]))
    print(f"\n| fuser | parameters | emotion right: mean (least to most of {arguments.seeds} seeds) | ms per clip |")
    print("| --- | ---: | ---: | ---: |")
    for row in table:
        scores = row["scores"]
        print(
            f"| `{row['fuser']}` | {row['parameters']:,} | {statistics.mean(scores):.1%} ({min(scores):.1%} to"
            f" {max(scores):.1%}) | {row['milliseconds_per_clip']:.3f} |"
        )
    print(f"\nfloor, one answer for all: {floor:.1%}")
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
            "floor": floor,
            "table": table,
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _parameters(plan: Plan, name: str) -> int:
    return sum(node.parameters or 0 for node in plan.fusers.values() if node.entry.spec.name == name)


def _tell(what: str, done: int, total: int) -> None:
    if done == total and not what.startswith("training"):
        print(f"{what}: {done}", flush=True)


if __name__ == "__main__":
    main()
