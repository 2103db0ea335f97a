"""Training steps and generation of the real AffectGPT architecture on a GPU, with random weights.

    python benchmarks/train_gpu.py --out benchmarks/results/train_gpu.json
    accelerate launch --multi_gpu --use_fsdp --fsdp_version 2 benchmarks/train_gpu.py ...     # several GPUs, sharded

CLIP ViT-L/14, HuBERT-L, attention pre-fusion and Qwen2.5-7B with LoRA of rank 16 in bfloat16, no weights read: speed
and memory do not depend on their values. Clips are random pixels and samples, or random features; answers have the
length given. Each row of training runs the project's own loop; the first steps are left out. Time outside the LLM is
everything but the LLM's own forward and backward pass: encoders, fusers, prompts, optimizer. Rows that are left when
`--seconds` have passed are listed as not run. `--quick` takes small parts of the same kinds, for a run without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.tokens import Prepared
from affectgpt.data.samples import Sample
from affectgpt.registry.discovery import discover
from affectgpt.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
REAL = (
    "encoders.face.init=random",
    "encoders.audio.init=random",
    "encoders.audio.allow_pickle=false",
    "llm.init=random",
    "training.checkpoint_every=null",
)
ON_A_GPU = ("encoders.face.dtype=bfloat16", "encoders.audio.dtype=bfloat16")
QUICK = (
    "encoders.face.model=null",
    "encoders.face.architecture={hidden_size: 32, intermediate_size: 64,"
    " num_hidden_layers: 2, num_attention_heads: 4, image_size: 32, patch_size: 16, projection_dim: 24}",
    "encoders.audio.model=null",
    "encoders.audio.architecture={hidden_size: 32, intermediate_size: 64,"
    " num_hidden_layers: 4, num_attention_heads: 4, num_conv_pos_embeddings: 16}",
    "encoders.audio.seconds=0.5",
    "llm.model=null",
    "llm.architecture={model_type: qwen2, vocab_size: 512, hidden_size: 64, intermediate_size: 128,"
    " num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 4096}",
)
TRAINED = {
    "cached features": (True, ()),
    "cached features, gradient checkpointing": (True, ("training.gradient_checkpointing=true",)),
    "encoding every step": (False, ()),
    "encoding every step, gradient checkpointing": (False, ("training.gradient_checkpointing=true",)),
}
SKIPPED = 2
"""Steps at the start that are not counted: kernels are chosen and memory is taken there."""


@dataclass
class Clock:
    """Marks in the order of the work, on a GPU as events that do not hold it up."""

    cuda: bool
    inside: list[tuple[Any, Any]] = field(default_factory=list)
    tokens: int = 0

    def mark(self) -> Any:
        """The present moment of the device's work."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: Any, end: Any) -> float:
        """Seconds from one mark to another; the device must be done."""
        return float(start.elapsed_time(end)) / 1000 if self.cuda else end - start

    def watch(self, pipeline: Pipeline) -> None:
        """Record when the LLM's forward and backward passes begin and end, and count the tokens that it reads."""
        forward: Callable[[Tensor, Tensor], Tensor] = pipeline.llm.logits

        def timed(embeds: Tensor, mask: Tensor) -> Tensor:
            self.tokens += int(mask.sum())
            start = self.mark()
            logits = forward(embeds, mask)
            self.inside.append((start, self.mark()))
            begun: list[Any] = []
            if logits.requires_grad:
                logits.register_hook(lambda _: begun.append(self.mark()))
            if embeds.requires_grad:
                embeds.register_hook(lambda _: self.inside.append((begun[0], self.mark())))
            return logits

        pipeline.llm.logits = timed


def make_samples(pipeline: Pipeline, count: int, *, cached: bool, answer: int) -> list[Sample]:
    """`count` clips of random media, or of random features where they are cached; answers of `answer` characters."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for index in range(count):
        media: dict[str, Prepared | None] = {}
        for name, node in pipeline.plan.encoders.items():
            config = node.config
            times = torch.arange(node.output.tokens, dtype=torch.float32)
            if cached:
                values = torch.randn(node.output.tokens, node.output.dim, generator=generator)
            elif name == "face":
                size = pipeline.encoders["face"].size  # type: ignore[attr-defined]
                values = torch.randint(0, 256, (config.frames, 3, size, size), dtype=torch.uint8, generator=generator)
            else:
                values = torch.randn(config.clips, round(config.seconds * 16000), generator=generator)
            media[name] = Prepared(values, times[: len(values)], encoded=cached)
        text = "".join(chr(97 + (index + place) % 26) for place in range(answer))
        samples.append(Sample(f"clip{index}", media, "so this is how it went", text))
    return samples


def train_row(cached: bool, changes: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Steps of the project's own loop: seconds a step, tokens and clips a second, memory, share outside the LLM."""
    device = torch.device(arguments.device)
    steps = SKIPPED + arguments.steps
    pipeline = built(arguments, [*changes, f"training.steps={steps}"], encoders=not cached)
    samples = make_samples(pipeline, 12, cached=cached, answer=arguments.answer)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = Clock(device.type == "cuda")
    clock.watch(pipeline)
    measurements: list[tuple[float, int, float]] = []
    last: list[Any] = [clock.mark()]

    def on_step(step: int, loss: float) -> None:
        end = clock.mark()
        if clock.cuda:
            torch.cuda.synchronize()
        inside = sum(clock.between(*step) for step in clock.inside)
        measurements.append((clock.between(last[0], end), clock.tokens, inside))
        clock.inside, clock.tokens, last[0] = [], 0, clock.mark()

    train(pipeline, samples, on_step=on_step)
    counted = measurements[SKIPPED:]
    seconds = [step[0] for step in counted]
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    clips = pipeline.plan.config.training.batch_size * processes
    row = {
        "step_seconds": spread(seconds),
        "clips_per_second": round(clips / statistics.median(seconds), 2),
        "llm_tokens_per_second": round(sum(step[1] for step in counted) * processes / sum(seconds)),
        "tokens_per_step": counted[0][1] * processes,
        "share_outside_llm": round(1 - sum(step[2] for step in counted) / sum(seconds), 3),
    }
    if clock.cuda:
        row["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return row


def generation_rows(arguments: argparse.Namespace, sizes: Sequence[int]) -> dict[str, Any]:
    """Greedy generation from cached features at several batch sizes: tokens and clips a second."""
    pipeline = built(arguments, [f"generation.max_new_tokens={arguments.new_tokens}"], encoders=False).eval()
    rows = {}
    for size in sizes:
        samples = make_samples(pipeline, size, cached=True, answer=1)
        batch = collate([each.media for each in samples], [each.subtitle for each in samples]).to(pipeline.device)
        rates, clips = [], []
        for repeat in range(4):
            done(arguments.device)
            start = time.perf_counter()
            answers = pipeline.generate(batch)
            done(arguments.device)
            if repeat:
                took = time.perf_counter() - start
                rates.append(sum(answer.tokens for answer in answers) / took)
                clips.append(size / took)
        rows[f"batch {size}"] = {"tokens_per_second": spread(rates), "clips_per_second": spread(clips)}
    return rows


def done(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    facts = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 4) for name, value in facts.items()}


def built(arguments: argparse.Namespace, changes: Sequence[str], *, encoders: bool) -> Pipeline:
    """The pipeline of `configs/affectgpt-paper.yaml` with random weights, made on the device; or without encoders."""
    catalog = discover()
    gpu = arguments.device.startswith("cuda")
    parts = (*REAL, *(ON_A_GPU if gpu else ()), *(QUICK if arguments.quick else ()))
    precision = () if gpu else ("llm.dtype=float32", "training.precision='no'")
    config = read_config(ROOT / "configs" / "affectgpt-paper.yaml", catalog, [*parts, *precision, *changes])
    with torch.device(arguments.device):
        without = () if encoders else tuple(config.encoders)
        pipeline = assemble(make_plan(config), skip_encoders=without)
    return pipeline.to(arguments.device)


def main() -> None:
    """Run every row that the time allows, print and save them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--answer", type=int, default=200, help="characters of an answer (a byte is a token)")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=480, help="no row is begun after this many")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("there is no CUDA device: --device cpu --quick tries this script out without one")
    if arguments.device == "cuda" and "LOCAL_RANK" in os.environ:
        arguments.device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(arguments.device)
    main_process = os.environ.get("RANK", "0") == "0"
    start = time.perf_counter()
    rows: dict[str, Any] = {}
    not_run: list[str] = []
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        name: lambda cached=cached, changes=changes: train_row(cached, changes, arguments)
        for name, (cached, changes) in TRAINED.items()
    }
    if os.environ.get("WORLD_SIZE", "1") == "1":
        jobs["generation"] = lambda: generation_rows(arguments, (1, 4, 16))
    for name, job in jobs.items():
        if time.perf_counter() - start > arguments.seconds:
            not_run.append(name)
            continue
        try:
            rows[name] = job()
        except torch.cuda.OutOfMemoryError as error:
            rows[name] = {"error": str(error).splitlines()[0][:200]}
        if main_process:
            print(f"{name}: {json.dumps(rows[name])}", flush=True)
        if arguments.device.startswith("cuda"):
            torch.cuda.empty_cache()
    cuda = arguments.device.startswith("cuda")
    machine = {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "processors": os.cpu_count(),
    }
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"
    result = {
        "command": "python " + " ".join(sys.argv),
        "machine": machine,
        "sharded": sharded,
        "quick": arguments.quick,
        "rows": rows,
        "not_run": not_run,
    }
    if arguments.out and main_process:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
