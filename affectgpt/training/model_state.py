"""Copy the trained state of a model and its optimizer to complete tensors by name, and restore it bit for bit.

    model.NAME                 trained parameters, and buffers of modules in training mode (batch norm statistics)
    optimizer.NAME.exp_avg     AdamW's state of the parameter NAME: exp_avg, exp_avg_sq and step

The names are those of the unwrapped model, so that checkpoints of a plain model, of one in DistributedDataParallel and
of one sharded by FSDP2 (`fully_shard`) are the same. PyTorch's own `distributed.checkpoint.state_dict` is not used: it
takes an optimizer step to make missing state, and accesses modules as attributes, which [NodeModules][] does not have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.distributed as dist
from accelerate.utils import extract_model_from_parallel
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from affectgpt.registry.errors import CheckpointError, Problem

_MOMENTS = ("exp_avg", "exp_avg_sq")
# Parts that torch.compile and activation checkpointing insert into names.
_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module")
_MOST_PROBLEMS = 20


def gather(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """All tensors that [restore][] needs, unsharded copies on the CPU; the model is in training mode.

    Frozen parameters are excluded: they come from the model folders or the seed. Every process must call this;
    processes other than the first get {}.
    """
    bare = _unwrap_model(model)
    changing = _parameters(bare) | _buffers(bare, training=True)
    copies = {f"model.{name}": _copy_to_cpu(tensor) for name, tensor in changing.items()}
    for name, parameter in _optimized(bare, optimizer).items():
        state = optimizer.state.get(parameter) or _empty_moments(parameter)
        if state.keys() != {"step", *_MOMENTS}:
            raise TypeError(f"this is other state than that of AdamW: {', '.join(map(str, state))}")
        copies |= {f"optimizer.{name}.{key}": _copy_to_cpu(tensor) for key, tensor in state.items()}
    return {name: tensor for name, tensor in copies.items() if tensor is not None}


def restore(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the result of [gather][]; the model is in training mode. Every process must pass the same tensors.

    Raises CheckpointError that names every missing, unexpected or misshapen tensor; nothing is changed then.
    """
    bare = _unwrap_model(model)
    optimized, untrained_buffers = _optimized(bare, optimizer), _buffers(bare, training=False)
    model_tensors = {
        f"model.{name}": tensor
        for name, tensor in (_parameters(bare) | _buffers(bare, training=True) | untrained_buffers).items()
    }
    states = {f"optimizer.{name}.{key}": tensor for name, tensor in optimized.items() for key in _MOMENTS}
    states |= {f"optimizer.{name}.step": torch.tensor(0.0) for name in optimized}
    _check_tensors(tensors, model_tensors | states, may_lack=[f"model.{name}" for name in untrained_buffers])
    with torch.no_grad():
        # In the same order in all processes: splitting a tensor is a collective operation.
        for name, target in model_tensors.items():
            if name in tensors:
                target.copy_(_shard_like(target, tensors[name]))
    for name, parameter in optimized.items():
        optimizer.state[parameter] = {
            "step": tensors[f"optimizer.{name}.step"].to(_step_device(optimizer, parameter), copy=True),
            **{key: _shard_like(parameter, tensors[f"optimizer.{name}.{key}"]) for key in _MOMENTS},
        }


def _unwrap_model(model: nn.Module) -> nn.Module:
    bare: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
    return bare


def _strip_wrapper_names(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    # Tied weights are one parameter, under its first name.
    return {
        _strip_wrapper_names(name): parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def _buffers(model: nn.Module, *, training: bool) -> dict[str, Tensor]:
    """State-dict buffers of the modules that are in training mode (only these change), or of those that are not."""
    saved_names = {_strip_wrapper_names(name) for name in model.state_dict(keep_vars=True)}
    return {
        _strip_wrapper_names(name): buffer
        for prefix, module in model.named_modules()
        if module.training == training
        for name, buffer in module.named_buffers(prefix, recurse=False)
        if _strip_wrapper_names(name) in saved_names
    }


def _optimized(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    optimized_ids = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    parameters = {name: parameter for name, parameter in _parameters(model).items() if id(parameter) in optimized_ids}
    if len(parameters) != len(optimized_ids):
        raise ValueError("the optimizer holds parameters that are frozen or not in the model")
    return parameters


def _empty_moments(parameter: Tensor) -> dict[str, Tensor]:
    # AdamW's state before the first gradient of a parameter.
    return {"step": torch.tensor(0.0), **{key: torch.zeros_like(parameter, requires_grad=False) for key in _MOMENTS}}


def _copy_to_cpu(tensor: Tensor) -> Tensor | None:
    detached = tensor.detach()
    full_tensor = detached.full_tensor() if isinstance(detached, DTensor) else detached
    if dist.is_initialized() and dist.get_rank() != 0:
        return None
    return full_tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)


def _shard_like(template: Tensor, full_tensor: Tensor) -> Tensor:
    """A copy of `full_tensor` on the device of `template`, sharded like it."""
    copy = full_tensor.to(template.device, copy=True)
    return distribute_tensor(copy, template.device_mesh, template.placements) if isinstance(template, DTensor) else copy


def _step_device(optimizer: Optimizer, parameter: Tensor) -> torch.device:
    # AdamW counts on the CPU, unless it runs as one kernel or in a captured graph.
    group = next(
        group for group in optimizer.param_groups if any(candidate is parameter for candidate in group["params"])
    )
    return parameter.device if group.get("fused") or group.get("capturable") else torch.device("cpu")


def _check_tensors(
    tensors: Mapping[str, Tensor], expected_tensors: Mapping[str, Tensor], may_lack: Collection[str]
) -> None:
    hint = "resume with the config that the run was started with"
    missing = expected_tensors.keys() - tensors.keys() - set(may_lack)
    problems = [Problem(f"{name} is missing from the checkpoint", hint=hint) for name in sorted(missing)]
    for name in sorted(tensors):
        tensor, parameter = tensors[name], expected_tensors.get(name)
        if parameter is None:
            problems.append(Problem(f"{name} does not belong to this training", hint=hint))
        elif tensor.shape != parameter.shape or tensor.dtype != parameter.dtype:
            found, expected = f"{list(tensor.shape)[:9]} {tensor.dtype}", f"{list(parameter.shape)} {parameter.dtype}"
            problems.append(Problem(f"{name} has the wrong form", found=found, expected=expected, hint=hint))
    more = (
        [Problem(f"and {len(problems) - _MOST_PROBLEMS} more tensors do not fit")]
        if len(problems) > _MOST_PROBLEMS
        else []
    )
    if problems:
        raise CheckpointError.from_problems([*problems[:_MOST_PROBLEMS], *more])
