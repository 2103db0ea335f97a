"""Run by torchrun: trains the small pipeline of conftest.py and writes what came of it. No test by itself.

in_processes.py OUT.json RUN RESUME STOP_AFTER SETTING...

"{rank}" in RUN is the number of the process. In the environment of `accelerate launch --use_fsdp` the model is sharded,
which Accelerate does on GPUs only, by itself.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from conftest import SMALL, NoiseClip

from affectgpt.core.assembly import assemble
from affectgpt.core.load_config import read_config
from affectgpt.core.plan import make_plan
from affectgpt.data.samples import Sample
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import AffectGPTError
from affectgpt.training import accelerator as accelerators
from affectgpt.training import loop
from affectgpt.training.accelerator import make_accelerator
from affectgpt.training.loop import train
from affectgpt.training.run_folder import RunFolder


def sharding(*arguments: Any) -> Accelerator:
    accelerator = make_accelerator(*arguments)
    accelerator.state.distributed_type = DistributedType.FSDP
    # Of the environment, as Accelerate makes it.
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    assert accelerator.is_fsdp2
    return accelerator


def main(out: Path, run: str, resume: str, stop_after: int, settings: list[str]) -> None:
    torch.set_num_threads(1)
    rank = os.environ.get("RANK", "0")
    path = out.with_suffix(f".{rank}.yaml")
    path.write_text(SMALL, encoding="utf-8")
    catalog = discover()
    config = read_config(path, catalog, settings)
    pipeline = assemble(make_plan(config))
    samples = [
        Sample(f"clip{index}", pipeline.prepare(NoiseClip(index)), f"word {index}", answer, ("glad", answer))
        for index, answer in enumerate(("happy", "angry and upset", "upset", "bored", "tense", "proud of it", "shy"))
    ]
    # Clips that lack a stream: whole parts have no gradient then, in one process and not in the other.
    samples[2] = replace(samples[2], media={**samples[2].media, "face": None})
    samples[5] = replace(samples[5], media={**samples[5].media, "audio": None})

    def stop(step: int, _: float) -> None:
        if step == stop_after:
            os._exit(0)

    folder = RunFolder(run.replace("{rank}", rank)) if run else None
    try:
        history = train(pipeline, samples, run=folder, resume=resume == "resume", on_step=stop)
    except AffectGPTError as error:
        out.with_suffix(f".{rank}.error").write_text(str(error))
        raise SystemExit(error.exit_code) from None
    if rank == "0":
        weights = {name: each.detach().double().sum().item() for name, each in pipeline.named_parameters()}
        best = [history.best.step, history.best.loss] if history.best else None
        out.write_text(json.dumps({"losses": history.losses, "weights": weights, "best": best}))


if __name__ == "__main__":
    if os.environ.get("ACCELERATE_USE_FSDP"):
        loop.make_accelerator = sharding
        accelerators._check_sharding = lambda _: None
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
