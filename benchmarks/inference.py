"""Clips per second in batches of 1, 4 and 16 against one call per clip, and the padding that like lengths save.

    python benchmarks/inference.py [--clips 16] [--repeats 4] [--out FILE.json]

Every number is of one process, one model and one thread; the ways take turns, `repeats` times, and a ratio is of two
ways in the same turn. Seconds of the process say what the work takes where other programs take the cores meanwhile.
The models write up to `--tokens` tokens.

1. Prepared media: `Pipeline.generate` on batches against one call per clip, for the bundled model and for one with a
   random Qwen2 of 4 layers, 512 wide. The texts must be those of the single calls. `like lengths` makes the batches
   within a window of `core/answering.py`, `as given` does not.
2. Whole files: `describe` with 0, 1 and 2 reading processes, in batches of 8, against one `describe` per file.
3. Padding: the share of padded positions in prompts, as given and in batches of like lengths, with no words for some
   clips and 1 to 40 words for the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

from affectgpt.bundled import TINY
from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.batched_answers import group_by_length, window_size
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import load
from affectgpt.media.clip import Clip
from affectgpt.registry.discovery import discover
from affectgpt.serving.describe import describe
from affectgpt.synthetic.clips import write_clips as write_clips
from affectgpt.synthetic.difficulty import Difficulty

SIZES = (1, 4, 16)
WORDS = ("well", "I", "told", "you", "so", "and", "now", "look", "at", "what", "you", "have", "done", "my", "dear")
MIDDLE = {
    "model_type": "qwen2",
    "vocab_size": 640,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
}


@dataclass
class Read:
    media: dict[str, Any]
    subtitle: str


def subtitles(count: int) -> list[str]:
    """No words for a fifth of the clips, 1 to 40 for the others."""
    draw = random.Random(0)
    return ["" if draw.random() < 0.2 else " ".join(draw.choices(WORDS, k=draw.randint(1, 40))) for _ in range(count)]


def bundled(tokens: int) -> Pipeline:
    """The bundled pipeline, with answers of at most so many tokens."""
    pipeline = load(TINY, discover())
    config = pipeline.plan.config
    shorter = config.generation.model_copy(update={"max_new_tokens": tokens})
    pipeline.plan = replace(pipeline.plan, config=config.model_copy(update={"generation": shorter}))
    return pipeline


def middle(tokens: int, folder: Path) -> Pipeline:
    """The bundled pipeline with a random LLM of middle size."""
    config = yaml.safe_load((TINY / "pipeline.yaml").read_text(encoding="utf-8"))
    config["llm"] |= {"architecture": MIDDLE, "tokenizer": str((TINY / "tokenizer").resolve())}
    config["generation"] = {"max_new_tokens": tokens}
    path = folder / "middle.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    catalog = discover()
    loaded = read_config(path, catalog, [])
    return assemble(make_plan(loaded))


def answered(pipeline: Pipeline, clips: list[Read], size: int, *, sort: bool) -> list[str]:
    """Texts of `generate` alone, without measuring what counted."""
    texts = [""] * len(clips)
    window = window_size(size) if sort else size
    for start in range(0, len(clips), window):
        window_clips = clips[start : start + window]
        lengths = [pipeline.prompt_length(each.media, each.subtitle) if sort else 0 for each in window_clips]
        for indices in group_by_length(lengths, size):
            batch = collate(
                [window_clips[index].media for index in indices], [window_clips[index].subtitle for index in indices]
            )
            for index, answer in zip(indices, pipeline.generate(batch), strict=True):
                texts[start + index] = answer.text
    return texts


def one_by_one(pipeline: Pipeline, clips: list[Read]) -> list[str]:
    return [pipeline.generate(collate([each.media], [each.subtitle]))[0].text for each in clips]


Times = dict[str, list[float]]
Clock = Callable[[], float]


def taken(ways: dict[str, Callable[[], Any]], repeats: int) -> tuple[Times, Times, dict[str, Any]]:
    """Seconds, and seconds of this process, per way and repeat, in turns, after a turn that is not counted; and what
    each way gave."""
    times: tuple[Times, Times] = ({name: [] for name in ways}, {name: [] for name in ways})
    clocks: tuple[Clock, Clock] = (time.perf_counter, time.process_time)
    gave: dict[str, Any] = {}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            begun = [clock() for clock in clocks]
            gave[name] = way()
            for clock, start, measurement in zip(clocks, begun, times, strict=True):
                measurement[name] += [clock() - start] if turn else []
    return *times, gave


def table(times: Times, base: str, clips: int, unit: str = "second") -> dict[str, Any]:
    return {
        name: {
            f"clips per {unit}": spread([clips / each for each in row]),
            f"against '{base}'": spread([one / other for one, other in zip(times[base], row, strict=True)]),
        }
        for name, row in times.items()
    }


def spread(values: list[float]) -> dict[str, float]:
    ordered = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 2) for name, value in ordered.items()}


def prepared_media(pipeline: Pipeline, clips: list[Read], repeats: int) -> dict[str, Any]:
    ways: dict[str, Callable[[], Any]] = {"one call per clip": lambda: one_by_one(pipeline, clips)}
    for size in SIZES:
        ways[f"batch {size}, like lengths"] = partial(answered, pipeline, clips, size, sort=True)
    ways["batch 16, as given"] = lambda: answered(pipeline, clips, 16, sort=False)
    times, cpu, gave = taken(ways, repeats)
    base = gave["one call per clip"]
    same = {name: sum(one == other for one, other in zip(texts, base, strict=True)) for name, texts in gave.items()}
    assert all(count == len(clips) for count in same.values()), same
    return {
        "clips": len(clips),
        "same texts": True,
        "by the clock": table(times, "one call per clip", len(clips)),
        "by this process's time": table(cpu, "one call per clip", len(clips), "second of this process"),
    }


def whole_files(pipeline: Pipeline, files: list[Path], repeats: int) -> dict[str, Any]:
    def single() -> list[str]:
        return [row.text for file in files for row in describe(pipeline, [file], batch_size=1)]

    def many(size: int, workers: int) -> list[str]:
        return [row.text for row in describe(pipeline, files, batch_size=size, workers=workers)]

    ways: dict[str, Callable[[], Any]] = {"one call per file": single}
    for workers in (0, 1, 2):
        ways[f"batch 8, workers {workers}"] = partial(many, 8, workers)
    times, _, gave = taken(ways, repeats)
    assert all(texts == gave["one call per file"] for texts in gave.values())
    return {"files": len(files), "same texts": True, **table(times, "one call per file", len(files))}


def padding(pipeline: Pipeline, clips: list[Read]) -> dict[str, Any]:
    lengths = [pipeline.prompt_length(clip.media, clip.subtitle) for clip in clips]
    report: dict[str, Any] = {"clips": len(clips), "tokens": {"least": min(lengths), "most": max(lengths)}}
    for size in (4, 8, 16):
        for name, window in (("as given", size), ("like lengths", window_size(size))):
            rows = 0
            for start in range(0, len(lengths), window):
                window_lengths = lengths[start : start + window]
                order = (
                    group_by_length(window_lengths, size)
                    if name == "like lengths"
                    else [list(range(len(window_lengths)))]
                )
                rows += sum(len(batch) * max(window_lengths[index] for index in batch) for batch in order)
            report[f"batch {size}, {name}"] = round(1 - sum(lengths) / rows, 4)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=32, help="at most, per answer")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    begun = time.perf_counter()
    # Two threads wait for each other on a busy machine, and the second core is for the reading processes.
    torch.set_num_threads(1)
    tiny = bundled(options.tokens)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder / "clips", clips=16, seed=1, workers=1, difficulty=Difficulty(seconds=(1.0, 2.0)))
        files = sorted((folder / "clips" / "video").iterdir())
        read = [tiny.prepare(Clip.open(file)) for file in files]
        clips = [Read(read[index % len(read)], words) for index, words in enumerate(subtitles(options.clips))]
        result: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python"
            f" {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}",
            "note": options.note,
            "repeats": options.repeats,
            "bundled model, prepared media": prepared_media(tiny, clips, options.repeats),
            "4 layers, 512 wide, prepared media": prepared_media(
                middle(options.tokens, folder), clips, options.repeats
            ),
            "bundled model, whole files": whole_files(tiny, files * 4, options.repeats),
            "padding in prompts": padding(tiny, [Read(read[0], words) for words in subtitles(2000)]),
        }
    result["seconds"] = round(time.perf_counter() - begun)
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
