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
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from affectgpt.core.config import TrainingConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.registry.errors import ConfigError


def make_accelerator(config: TrainingConfig, trackers: Path | None = None) -> Accelerator:
    """An Accelerator of the config's precision and trackers, which write to the folder `trackers`.

    How many processes there are and whether they shard the model is Accelerate's environment (`accelerate launch`,
    torchrun). Raises ConfigError when this machine does not support them.
    """
    _check_trackers(config.trackers, trackers)
    # Its state is process-wide; without this, a second run of another precision in one process would be refused.
    AcceleratorState._reset_state(reset_partial_state=True)
    project = None if trackers is None else ProjectConfiguration(str(trackers.parent), logging_dir=str(trackers))
    if _sharded():
        # Without a policy the model would be one shard group, gathered completely in every forward pass.
        os.environ.setdefault("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")
        # `accelerate launch` sets this to true. Accelerate then loads each tensor into the model anew: tied weights
        # come apart, to be trained each by itself, and the statistics of a batch norm cannot be loaded at all.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    try:
        accelerator = Accelerator(
            # Without it, processes on a machine without a GPU would train independently.
            cpu="LOCAL_RANK" in os.environ and not torch.accelerator.is_available(),
            mixed_precision=config.precision,
            log_with=list(config.trackers) or None,
            project_config=project,
            # A fuser's weights have no gradient in a batch that lacks what it reads.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        if config.precision == "fp16" and accelerator.device.type == "cpu":
            # Accelerate would silently train in float32.
            raise ValueError("fp16 needs a GPU: use bf16 or no")
    except ValueError as error:
        raise ConfigError(
            "this machine cannot train in this precision",
            where="training.precision",
            found=config.precision,
            hint=str(error).splitlines()[0],
        ) from error
    _check_one_group(accelerator)
    _check_sharding(accelerator)
    atexit.unregister(_destroy_process_group)
    atexit.register(_destroy_process_group)
    return accelerator


def prepare(accelerator: Accelerator, pipeline: Pipeline, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
    """The model and the optimizer on their device, wrapped for several processes if there are several."""
    if accelerator.distributed_type == DistributedType.FSDP:
        names = {name for module in pipeline.llm.modules() for name in getattr(module, "_no_split_modules", None) or ()}
        class_names = {type(module).__name__ for module in pipeline.llm.modules()}
        # Accelerate shards these layers separately; all processes gather a layer when it runs. An encoder's layers are
        # not among them: they run only in processes where a clip has the encoder's stream.
        pipeline._no_split_modules = sorted(names & class_names)  # type: ignore[assignment]
        pipeline.register_forward_hook(_add_zero_gradients)
    model, prepared = accelerator.prepare(pipeline, optimizer)
    return model, prepared


def _add_zero_gradients(pipeline: nn.Module, _: object, result: Any) -> Any:
    """Add 0 times every trained weight outside the LLM to the loss, so that each gets a gradient.

    `result` is the loss, or the loss and the number of its tokens.

    Sharded gradients are reduced in one buffer, which must have the same length in a process whose clips lack a stream.
    """
    if not torch.is_grad_enabled():
        return result
    loss = result[0] if isinstance(result, tuple) else result
    for name, parameter in pipeline.named_parameters():
        if parameter.requires_grad and not name.startswith("llm.") and not isinstance(parameter, DTensor):
            loss = loss + 0.0 * parameter.sum()
    return (loss, *result[1:]) if isinstance(result, tuple) else loss


def reshard(model: nn.Module) -> None:
    """Shard again the layers that a forward pass without a backward pass has gathered."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def unwrap(accelerator: Accelerator, model: nn.Module, pipeline: Pipeline) -> None:
    """Undo [prepare][]; the pipeline is in evaluation mode afterwards.

    After sharding, its weights are complete and on the CPU, to be saved; it cannot be run.
    """
    accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    # One new parameter for each old one, so that tied weights stay tied.
    full_parameters: dict[nn.Parameter, nn.Parameter] = {}
    for module in pipeline.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if isinstance(parameter, DTensor):
                if parameter not in full_parameters:
                    full_parameters[parameter] = nn.Parameter(
                        parameter.full_tensor().detach().cpu(), requires_grad=parameter.requires_grad
                    )
                module._parameters[name] = full_parameters[parameter]
    pipeline.eval()


def _destroy_process_group() -> None:
    # Without it a process may crash at exit in threads of its group. Not done when training ends: the processes
    # could not form a group again for the next training.
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _sharded() -> bool:
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def _check_one_group(accelerator: Accelerator) -> None:
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise ConfigError(
            "these processes would train independently",
            where="WORLD_SIZE",
            found=str(launched),
            expected=str(accelerator.num_processes),
            hint="start them with accelerate launch or torchrun",
        )


def _check_sharding(accelerator: Accelerator) -> None:
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


def _check_trackers(trackers: Sequence[str], folder: Path | None) -> None:
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
