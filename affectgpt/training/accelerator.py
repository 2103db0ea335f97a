"""Hugging Face Accelerate as this project uses it: one process or several, whole models or sharded ones."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, ProjectConfiguration
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from affectgpt.core.config import TrainingConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import ConfigError


def make_accelerator(config: TrainingConfig, trackers: Path | None = None) -> Accelerator:
    """An Accelerator of the config's precision and trackers, which log into the folder `trackers`.

    How many processes there are and whether they shard the model is Accelerate's environment (`accelerate launch`,
    torchrun). Raises ConfigError when this machine cannot do what is asked.
    """
    _refuse_missing(config.trackers, trackers)
    # Its state is process-wide; without this, a second run of another precision in one process would be refused.
    AcceleratorState._reset_state(reset_partial_state=True)
    places = None if trackers is None else ProjectConfiguration(str(trackers.parent), logging_dir=str(trackers))
    if _sharded():
        # Without a policy the whole model would be one shard group and be gathered whole in every forward pass.
        os.environ.setdefault("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
        # `accelerate launch` sets this to true. Accelerate then loads each tensor into the model anew: tied weights
        # come apart, to be trained each by itself, and the statistics of a batch norm cannot be loaded at all.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    try:
        accelerator = Accelerator(
            # Without it, processes on a machine without a GPU would each train by themselves.
            cpu="LOCAL_RANK" in os.environ and not torch.accelerator.is_available(),
            mixed_precision=config.precision,
            log_with=list(config.trackers) or None,
            project_config=places,
            # A fuser's weights have no gradient in a batch that lacks what it reads.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        if config.precision == "fp16" and accelerator.device.type == "cpu":
            # Accelerate would train in float32 without a word.
            raise ValueError("fp16 needs a GPU: use bf16 or no")
    except ValueError as error:
        raise ConfigError(
            "this machine cannot train in this precision",
            where="training.precision",
            found=config.precision,
            hint=str(error).splitlines()[0],
        ) from error
    _refuse_apart(accelerator)
    _refuse_unsharded(accelerator)
    atexit.unregister(_leave)
    atexit.register(_leave)
    return accelerator


def prepare(accelerator: Accelerator, pipeline: Pipeline, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
    """The model and the optimizer on their device, wrapped for several processes if there are several."""
    if accelerator.distributed_type == DistributedType.FSDP:
        names = {name for module in pipeline.llm.modules() for name in getattr(module, "_no_split_modules", None) or ()}
        there = {type(module).__name__ for module in pipeline.llm.modules()}
        # What Accelerate reads to learn which layers are sharded by themselves. They are gathered when they run, by all
        # processes together: those of an encoder run only where a clip has its stream.
        pipeline._no_split_modules = sorted(names & there)  # type: ignore[assignment]
        pipeline.register_forward_hook(_with_every_gradient)
    model, prepared = accelerator.prepare(pipeline, optimizer)
    return model, prepared


def _with_every_gradient(pipeline: nn.Module, _: object, loss: Tensor) -> Tensor:
    """The same loss, from which every trained weight outside the LLM gets a gradient, be it 0.

    Sharded gradients are summed in one piece, which has to be as long in a process whose clips all lack a stream.
    """
    if not torch.is_grad_enabled():
        return loss
    for name, each in pipeline.named_parameters():
        if each.requires_grad and not name.startswith("llm.") and not isinstance(each, DTensor):
            loss = loss + 0.0 * each.sum()
    return loss


def reshard(model: nn.Module) -> None:
    """Split again what a forward pass without a backward pass has put together."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def release(accelerator: Accelerator, model: nn.Module, pipeline: Pipeline) -> None:
    """Give the pipeline back as it was given, in evaluation mode.

    After sharding, its weights are whole again, on the CPU, to be saved; it cannot be run.
    """
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    # By parameter, because what is tied stays tied.
    whole: dict[nn.Parameter, nn.Parameter] = {}
    for module in pipeline.modules():
        for name, each in module.named_parameters(recurse=False, remove_duplicate=False):
            if isinstance(each, DTensor):
                if each not in whole:
                    whole[each] = nn.Parameter(each.full_tensor().detach().cpu(), requires_grad=each.requires_grad)
                module._parameters[name] = whole[each]
    pipeline.eval()


def _leave() -> None:
    # A process that ends without it may die of the threads that its group still has, with a failure as its exit code.
    # Not at the end of a training: the processes could not come together again for the next one.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _sharded() -> bool:
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def _refuse_apart(accelerator: Accelerator) -> None:
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ConfigError(
            "these processes would each train by themselves",
            where="WORLD_SIZE",
            found=str(launched),
            expected=str(accelerator.num_processes),
            hint="start them with accelerate launch or torchrun",
        )


def _refuse_unsharded(accelerator: Accelerator) -> None:
    if _sharded() and accelerator.distributed_type != DistributedType.FSDP:
        raise ConfigError(
            "FSDP was asked for, and Accelerate shards a model on GPUs only",
            where="ACCELERATE_USE_FSDP",
            found=f"{accelerator.num_processes} processes on {accelerator.device.type}",
            hint="launch without --use_fsdp: the processes then hold a whole model each (DDP)",
        )
    if _sharded() and not accelerator.is_fsdp2:
        raise ConfigError(
            "this is the first version of FSDP", where="FSDP_VERSION", expected="2", hint="launch with --fsdp_version 2"
        )


def _refuse_missing(trackers: Sequence[str], folder: Path | None) -> None:
    if trackers and folder is None:
        raise ConfigError("trackers need a run folder", where="training.trackers", hint="train with a run folder")
    missing = [name for name in trackers if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} cannot be imported",
            where="training.trackers",
            found=", ".join(trackers),
            hint=f"pip install {' '.join(missing)}, or pip install 'affectgpt[trackers]'",
        )
