"""Make the bundled tokenizer and model: `python -m affectgpt.demo.make tokenizer` or `... model`.

`tokenizer` learns `configs/tiny-tokenizer` from the texts of the synthetic clips and the prompt of `configs/tiny.yaml`.
`model` writes clips, trains `configs/tiny.yaml` on them and saves it, in float16, as the model inside the package.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from affectgpt.bundled import TINY, bundled_config
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.demo.run import read_clips, run_variants, variant_plan, write_clips
from affectgpt.registry.discovery import discover
from affectgpt.synthetic.tokenizer import learn_tokenizer, script_texts

TRAIN, TEST, SEED, STEPS, DROPOUT = 960, 128, 0, 2500, 0.2


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
    """Train the bundled model, longer than in the demonstration and with modality dropout."""

    def print_progress(what: str, count: int, total: int | None) -> None:
        if count in (1, total) or count % 100 == 0:
            print(f"{what}: {count}/{total}", flush=True)

    catalog = discover()
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), train=TRAIN, test=TEST, seed=SEED, workers=2, progress=print_progress)
        samples = read_clips(Path(folder), variant_plan("full model", catalog, SEED), catalog, 2, print_progress)
        longer = [f"training.steps={STEPS}", f"training.modality_dropout={DROPOUT}"]
        (row,) = run_variants(
            [("full model", SEED)], samples, workers=1, overrides=longer, save_first=TINY, progress=print_progress
        )
    print(f"{row.score.exact:.1%} of {row.score.clips} held-out clips right, saved in {TINY}")


if __name__ == "__main__":
    commands = {"tokenizer": make_tokenizer, "model": make_model}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m affectgpt.demo.make {'|'.join(commands)}")
    commands[sys.argv[1]]()
