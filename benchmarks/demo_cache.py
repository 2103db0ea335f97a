"""The demonstration's training from a feature cache: the same quality as encoding at every step, in less time?

    python benchmarks/demo_cache.py [--seed 0] [--out benchmarks/results/demo_cache.json]

Trains the demonstration's full model (configs/tiny.yaml, everything trained) on its synthetic clips. Then its encoders
are frozen and the rest is trained anew, from the same seed, twice: running the encoders on prepared clips at every
step, and reading what they gave from a cache. All three are scored on the same held-out clips, in one process with one
thread.
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
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from affectgpt.core.assembly import assemble
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.saved.model import save
from affectgpt.data.feature_cache.fixed_encoders import saved_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import encode
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.demo.run import read_clips, tiny_plan, write_clips, write_texts
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.score import score_texts
from affectgpt.training.loop import train

FROZEN = ("encoders.face.frozen=true", "encoders.audio.frozen=true")


def trained(name: str, pipeline: Pipeline, samples: Any, held_out: Any) -> dict[str, Any]:
    """Train on `samples` and score on `held_out`: emotions right, losses, seconds in all and of a step."""
    # The processor's time: other work on the machine does not lengthen it as it does the clock's.
    times = [time.process_time()]
    history = train(pipeline, samples, on_step=lambda step, loss: times.append(time.process_time()))
    score = score_texts(write_texts(pipeline, held_out), [sample.description for sample in held_out])
    low, middle, high = statistics.quantiles([after - before for before, after in pairwise(times)], n=4)
    row = {
        "emotion_right": f"{round(score.exact * len(held_out))} of {len(held_out)}",
        "label_f1": round(score.f1, 4),
        "loss_first": round(history.losses[0], 4),
        "loss_last_10": round(statistics.mean(history.losses[-10:]), 4),
        "steps": len(history.losses),
        "seconds": round(history.seconds, 1),
        "processor_seconds": round(times[-1] - times[0], 1),
        "step_processor_ms": {
            "median": round(1000 * middle, 2),
            "quartile_1": round(1000 * low, 2),
            "quartile_3": round(1000 * high, 2),
        },
    }
    print(f"{name}: {row}", flush=True)
    return {**row, "losses": history.losses}


def measured(folder: Path, seed: int, workers: int) -> dict[str, Any]:
    catalog = discover()
    plan, frozen = tiny_plan(catalog, seed), tiny_plan(catalog, seed, FROZEN)
    write_clips(folder, train=640, test=128, seed=seed, workers=workers, progress=_tell)
    samples = read_clips(folder, plan, catalog, workers, _tell)
    pipeline = assemble(plan)
    rows = {"everything trained": trained("everything trained", pipeline, samples["train"], samples["test"])}
    save(pipeline, folder / "model")
    begun = time.perf_counter()
    examples = read_mer2025(folder / "train")
    encode(saved_encoders(folder / "model", catalog), examples, folder / "cache", workers=workers)
    took = time.perf_counter() - begun
    cache = FeatureCache.open(folder / "cache")
    cache.check_plan(frozen)
    stored, broken = cache.samples(examples)
    assert not broken
    for name, source in (("frozen, encoding every step", samples["train"]), ("frozen, from the cache", stored)):
        pipeline = assemble(frozen, skip_encoders=cache.unbuilt)
        cache.load_weights(pipeline)
        rows[name] = trained(name, pipeline, source, samples["test"])
    encoding, reading = rows["frozen, encoding every step"], rows["frozen, from the cache"]
    differences = [abs(a - b) for a, b in zip(encoding["losses"], reading["losses"], strict=True)]
    return {
        "seconds_to_encode_once": round(took, 1),
        "rows": {
            name: {key: row_value for key, row_value in row.items() if key != "losses"} for name, row in rows.items()
        },
        "encoding / from_cache": {
            **{key: round(encoding[key] / reading[key], 2) for key in ("seconds", "processor_seconds")},
            "step_processor_ms": {
                key: round(row_value / reading["step_processor_ms"][key], 2)
                for key, row_value in encoding["step_processor_ms"].items()
            },
        },
        "losses_apart": {"first_100_steps": max(differences[:100]), "all_steps": max(differences)},
    }


def _tell(what: str, done: int, total: int) -> None:
    if done == total:
        print(f"{what}: {done}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "demo_cache.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Path(folder), options.seed, options.workers)
    result = {
        "command": "python " + " ".join(sys.argv),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread, Python {platform.python_version()},"
        f" torch {version('torch')}",
        "load_average_before_and_after": [round(each[0], 1) for each in (load, os.getloadavg())],
        "seed": options.seed,
        **result,
    }
    print(json.dumps(result, indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
