"""Make the bundled tokenizer and model: `python -m affectgpt.demo.make tokenizer` or `... model`.

`tokenizer` learns `configs/tiny-tokenizer` from the texts of the synthetic clips and the prompt of `configs/tiny.yaml`.
`model` writes clips, trains `configs/tiny.yaml` on them and saves it, in float16, as the model inside the package.
It is trained on clips that lack something, too, with answers that say nothing of what is not there.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from affectgpt.bundled import TINY, bundled_config
from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import Plan, make_plan
from affectgpt.data.mer2025 import read_mer2025
from affectgpt.data.samples import Sample, read_samples
from affectgpt.demo.run import read_clips, run_variants, variant_plan, write_clips
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.clip import plan_clip
from affectgpt.synthetic.clips import write_clips as write_synthetic_clips
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.script import Part
from affectgpt.synthetic.tokenizer import learn_tokenizer, script_texts

TRAIN, TEST, SEED, STEPS = 1280, 128, 0, 12_000
# What whole clips are shown without: each of them once without its sound, and once without something else.
_WITHOUT: tuple[tuple[tuple[Part, ...], ...], ...] = (
    (("sound",), ("sound", "subtitle")),
    (("face",), ("subtitle",), ("face", "subtitle"), ("face", "sound")),
)
SILENT = 640
"""Clips of people who do not speak: their lips do not move, which no whole clip shows."""


def make_tokenizer() -> None:
    """Learn the tokenizer of `configs/tiny.yaml`, with as many tokens as its model has embeddings."""
    catalog = discover()
    config = read_config(bundled_config("tiny"), catalog)
    plan = make_plan(config)
    prompts = [part.value for part in plan.parts if part.kind == "text"] + [config.prompt.question]
    llm: Any = plan.llm.config
    count = learn_tokenizer(script_texts(prompts), Path(llm.tokenizer), size=llm.values()["vocab_size"])
    print(f"{count} tokens in {llm.tokenizer}")


def make_model() -> None:
    """Train the bundled model, longer than in the demonstration and on clips that lack something, too."""

    def print_progress(what: str, count: int, total: int | None) -> None:
        if count in (1, total) or count % 100 == 0:
            print(f"{what}: {count}/{total}", flush=True)

    catalog = discover()
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), train=TRAIN, test=TEST, seed=SEED, workers=2, progress=print_progress)
        plan = variant_plan("full model", catalog, SEED)
        samples = read_clips(Path(folder), plan, catalog, 2, print_progress)
        whole = samples["train"]
        samples["train"] = [*whole, *_lacking_something(whole), *_silent(Path(folder) / "silent", plan)]
        longer = [f"training.steps={STEPS}"]
        (row,) = run_variants(
            [("full model", SEED)], samples, workers=1, overrides=longer, save_first=TINY, progress=print_progress
        )
    print(f"{row.score.exact:.1%} of {row.score.clips} held-out clips right, saved in {TINY}")


def _lacking_something(samples: list[Sample]) -> list[Sample]:
    """Each sample without a part of it, in turn, and with the description of a clip that lacks it."""
    lacking = []
    for cycle in _WITHOUT:
        for index, sample in enumerate(samples):
            without = cycle[index % len(cycle)]
            plan = plan_clip(SEED, "train", int(sample.name.rpartition("_")[2]), Difficulty(), without)
            absent = {"face": "face" in without, "audio": "sound" in without}
            lacking.append(
                replace(
                    sample,
                    media={name: None if absent[name] else prepared for name, prepared in sample.media.items()},
                    subtitle="" if "subtitle" in without else sample.subtitle,
                    description=plan.description,
                )
            )
    return lacking


def _silent(folder: Path, plan: Plan) -> list[Sample]:
    """Clips of people who do not speak, of every second one the subtitle."""
    write_synthetic_clips(folder, clips=SILENT, seed=SEED, split="train", without=("speech",), workers=2)
    samples, _ = read_samples(read_mer2025(folder), assemble(plan).prepare_or_raise, workers=2)
    return [replace(sample, subtitle="") if index % 2 else sample for index, sample in enumerate(samples)]


if __name__ == "__main__":
    commands = {"tokenizer": make_tokenizer, "model": make_model}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m affectgpt.demo.make {'|'.join(commands)}")
    commands[sys.argv[1]]()
