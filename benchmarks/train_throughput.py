"""Training steps that run the encoders every time against steps that read what they gave from a feature cache.

    python benchmarks/train_throughput.py [--repeats 2] [--clips 3] [--out benchmarks/results/train_throughput.json]

CLIP ViT-L/14 on 8 face crops and HuBERT-L on 8 windows of 2 s, both frozen, in their real architectures with random
weights; the paper's fusers; batches of 3 clips, float32, on the CPU. Both sides train the same pipeline on the same
clips with `affectgpt.training.loop.train`, in turns, in one process. The side that encodes is given prepared clips:
decoding is not counted. The side that reads verifies every tensor, as training does.

Two language models show how much of a step is theirs: a small one that is trained, and Qwen2.5-0.5B with LoRA. Both
are given the tokenizer of the small bundled model, which was learned on the texts of the synthetic clips.
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
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, make_plan
from affectgpt.data.feature_cache.fixed_encoders import frozen_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import encode
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.data.samples import Sample, read_samples
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.clips import write_clips
from affectgpt.training.loop import train

CONFIG = """\
encoders:
  face:  {plugin: clip-vision, model: openai/clip-vit-large-patch14, frames: 8, init: random}
  audio: {plugin: speech, model: TencentGameMate/chinese-hubert-large, clips: 8, init: random}
fusers:
  face_tokens:  {plugin: temporal-attention, inputs: [face], normalize: none}
  audio_tokens: {plugin: temporal-attention, inputs: [audio], normalize: none}
  multi:        {plugin: modality-attention, inputs: [face, audio], normalize: none}
prompt: {template: affectgpt, order: [multi, audio_tokens, face_tokens, subtitle]}
training: {steps: 1, batch_size: 3, lr: 1.0e-5, checkpoint_every: null}
"""
LLMS = {
    "small, trained": """\
llm: {plugin: causal-lm, init: random, frozen: false, architecture: {model_type: qwen2, hidden_size: 256,
  intermediate_size: 688, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 4, vocab_size: 640,
  max_position_embeddings: 4096}, tokenizer: TOKENIZER}
""",
    "Qwen2.5-0.5B, LoRA": """\
llm: {plugin: causal-lm, init: random, model: Qwen/Qwen2.5-0.5B-Instruct, lora: {r: 16, alpha: 32, dropout: 0.05},
  tokenizer: TOKENIZER}
""",
}
TOKENIZER = Path(__file__).resolve().parent.parent / "configs" / "tiny-tokenizer"
BATCH = 3
CACHED_STEPS = {"small, trained": 9, "Qwen2.5-0.5B, LoRA": 2}
"""Steps from the cache in one turn, after a first one that is not counted; of the other side a turn is one step."""


def planned(folder: Path, llm: str, steps: int) -> Plan:
    path = folder / "pipeline.yaml"
    path.write_text(CONFIG + LLMS[llm].replace("TOKENIZER", json.dumps(str(TOKENIZER))), encoding="utf-8")
    catalog = discover()
    config = read_config(path, catalog, [f"training.steps={steps}"])
    return make_plan(config)


def seconds_of_steps(pipeline: Pipeline, plan: Plan, samples: Any) -> list[float]:
    """The seconds of each step. Of several, the first, which also sets up the optimizer, is left out."""
    pipeline.plan = plan
    times = [time.perf_counter()]
    train(pipeline, samples, on_step=lambda step, loss: times.append(time.perf_counter()))
    steps = [after - before for before, after in pairwise(times)]
    return steps[1:] if len(steps) > 1 else steps


def compared(pipeline: Pipeline, plans: tuple[Plan, Plan], prepared: list[Sample], stored: Any, repeats: int) -> Any:
    encoding, reading = [], []
    for number in range(repeats):
        encoding.append(BATCH / statistics.mean(seconds_of_steps(pipeline, plans[0], prepared)))
        reading.append(BATCH / statistics.mean(seconds_of_steps(pipeline, plans[1], stored)))
        print(f"  turn {number + 1}: {encoding[-1]:.4f} and {reading[-1]:.2f} samples/s", flush=True)
    return {
        "samples_per_second_encoding": spread(encoding),
        "samples_per_second_from_cache": spread(reading),
        "ratio": spread([b / a for a, b in zip(encoding, reading, strict=True)]),
    }


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }


def measured(folder: Path, clips: int, repeats: int, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measure with each language model; `keep` is given what is known after each."""
    write_clips(folder / "clips", clips=clips, seed=0, workers=1)
    examples = read_mer2025(folder / "clips")
    result: dict[str, Any] = {}
    begun = time.perf_counter()
    encoders = frozen_encoders(planned(folder, "small, trained", 1), discover())
    print(f"encoders built in {time.perf_counter() - begun:.0f} s", flush=True)
    begun = time.perf_counter()
    encode(encoders, examples, folder / "cache", batch_size=BATCH, workers=0)
    result["seconds_to_encode_once"] = round(time.perf_counter() - begun, 1)
    print(f"{clips} clips encoded once in {result['seconds_to_encode_once']} s", flush=True)
    prepared, _ = read_samples(examples, encoders.prepare, workers=0)
    del encoders
    cache = FeatureCache.open(folder / "cache")
    stored, _ = cache.samples(examples)
    result["llms"] = {}
    for name in LLMS:
        plans = planned(folder, name, 1), planned(folder, name, CACHED_STEPS[name] + 1)
        pipeline = assemble(plans[0])
        cache.check_plan(plans[0])
        cache.load_weights(pipeline)
        trained = sum(each.numel() for each in pipeline.parameters() if each.requires_grad)
        print(f"{name}: {trained:,} trained parameters", flush=True)
        row = compared(pipeline, plans, prepared, stored, repeats)
        result["llms"][name] = {"trained_parameters": trained, **row}
        print(f"  cached / encoding: {row['ratio']}", flush=True)
        keep(result)
        del pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "train_throughput.json")
    options = parser.parse_args()
    begun, load = time.perf_counter(), os.getloadavg()

    def keep(result: dict[str, Any]) -> None:
        entry = {
            "command": "python " + " ".join(sys.argv),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads,"
            f" Python {platform.python_version()}, torch {version('torch')}",
            "load_average_before_and_after": [round(each[0], 1) for each in (load, os.getloadavg())],
            "batch": BATCH,
            "clips": options.clips,
            "repeats": options.repeats,
            **result,
            "seconds_in_all": round(time.perf_counter() - begun),
        }
        options.out.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as folder:
        measured(Path(folder), options.clips, options.repeats, keep)
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
