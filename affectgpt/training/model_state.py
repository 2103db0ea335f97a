"""What training changes in a model and its optimizer, as whole tensors by name, and back, bit for bit.

    model.NAME                 trained parameters, and buffers of modules in training mode (batch norm statistics)
    optimizer.NAME.exp_avg     AdamW's state of the parameter NAME: exp_avg, exp_avg_sq and step

The names are those of the bare model, so that a checkpoint of a plain model, of one in DistributedDataParallel and of
one split by FSDP2 (`fully_shard`) are the same. PyTorch's own `distributed.checkpoint.state_dict` is not used: it
takes an optimizer step to make missing state, and reaches modules as attributes, which [NodeModules][] has not.
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
# What torch.compile and activation checkpointing put into the names of what they wrap.
_WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module")
_SHOWN = 20


def gather(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """All tensors that [restore][] needs, whole, as copies on the CPU; the model is in training mode.

    Frozen parameters are left out: the model folders, or the seed, give them. Every process must call this;
    processes other than the first get {}.
    """
    bare = _bare(model)
    changing = _parameters(bare) | _buffers(bare, training=True)
    found = {f"model.{name}": _copied(each) for name, each in changing.items()}
    for name, parameter in _optimized(bare, optimizer).items():
        state = optimizer.state.get(parameter) or _nothing_yet(parameter)
        if state.keys() != {"step", *_MOMENTS}:
            raise TypeError(f"this is other state than that of AdamW: {', '.join(map(str, state))}")
        found |= {f"optimizer.{name}.{key}": _copied(each) for key, each in state.items()}
    return {name: each for name, each in found.items() if each is not None}


def restore(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what [gather][] gave; the model is in training mode. Every process must be given the same tensors.

    Raises CheckpointError that names every missing, unexpected or misshapen tensor; nothing is changed then.
    """
    bare = _bare(model)
    optimized, asleep = _optimized(bare, optimizer), _buffers(bare, training=False)
    own = {f"model.{name}": each for name, each in (_parameters(bare) | _buffers(bare, training=True) | asleep).items()}
    states = {f"optimizer.{name}.{key}": each for name, each in optimized.items() for key in _MOMENTS}
    states |= {f"optimizer.{name}.step": torch.tensor(0.0) for name in optimized}
    _refuse_misfits(tensors, own | states, may_lack=[f"model.{name}" for name in asleep])
    with torch.no_grad():
        # In one order in all processes, which talk to one another when a tensor is split.
        for name, mine in own.items():
            if name in tensors:
                mine.copy_(_spread_as(mine, tensors[name]))
    for name, parameter in optimized.items():
        optimizer.state[parameter] = {
            "step": tensors[f"optimizer.{name}.step"].to(_step_device(optimizer, parameter), copy=True),
            **{key: _spread_as(parameter, tensors[f"optimizer.{name}.{key}"]) for key in _MOMENTS},
        }


def _bare(model: nn.Module) -> nn.Module:
    bare: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
    return bare


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    # What is tied is one parameter, under its first name.
    return {_plain(name): each for name, each in model.named_parameters() if each.requires_grad}


def _buffers(model: nn.Module, *, training: bool) -> dict[str, Tensor]:
    """Buffers of the state dict, of modules in training mode (others do not change theirs), or of those not in it."""
    kept = {_plain(name) for name in model.state_dict(keep_vars=True)}
    return {
        _plain(name): each
        for prefix, module in model.named_modules()
        if module.training == training
        for name, each in module.named_buffers(prefix, recurse=False)
        if _plain(name) in kept
    }


def _optimized(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    given = {id(each) for group in optimizer.param_groups for each in group["params"]}
    found = {name: each for name, each in _parameters(model).items() if id(each) in given}
    if len(found) != len(given):
        raise ValueError("the optimizer holds parameters that are frozen or not in the model")
    return found


def _nothing_yet(parameter: Tensor) -> dict[str, Tensor]:
    # What AdamW begins with when a parameter has its first gradient.
    return {"step": torch.tensor(0.0), **{key: torch.zeros_like(parameter, requires_grad=False) for key in _MOMENTS}}


def _copied(tensor: Tensor) -> Tensor | None:
    detached = tensor.detach()
    whole = detached.full_tensor() if isinstance(detached, DTensor) else detached
    if dist.is_initialized() and dist.get_rank() != 0:
        return None
    return whole.to("cpu", copy=True, memory_format=torch.contiguous_format)


def _spread_as(like: Tensor, whole: Tensor) -> Tensor:
    """A copy of `whole` on the device of `like`, split over processes as that is."""
    copy = whole.to(like.device, copy=True)
    return distribute_tensor(copy, like.device_mesh, like.placements) if isinstance(like, DTensor) else copy


def _step_device(optimizer: Optimizer, parameter: Tensor) -> torch.device:
    # AdamW counts on the CPU, unless it runs as one kernel or in a captured graph.
    group = next(each for each in optimizer.param_groups if any(one is parameter for one in each["params"]))
    return parameter.device if group.get("fused") or group.get("capturable") else torch.device("cpu")


def _refuse_misfits(tensors: Mapping[str, Tensor], known: Mapping[str, Tensor], may_lack: Collection[str]) -> None:
    hint = "resume with the config that the run was started with"
    missing = known.keys() - tensors.keys() - set(may_lack)
    problems = [Problem(f"{name} is missing from the checkpoint", hint=hint) for name in sorted(missing)]
    for name in sorted(tensors):
        given, own = tensors[name], known.get(name)
        if own is None:
            problems.append(Problem(f"{name} does not belong to this training", hint=hint))
        elif given.shape != own.shape or given.dtype != own.dtype:
            found, expected = f"{list(given.shape)[:9]} {given.dtype}", f"{list(own.shape)} {own.dtype}"
            problems.append(Problem(f"{name} has the wrong form", found=found, expected=expected, hint=hint))
    more = [Problem(f"and {len(problems) - _SHOWN} more tensors do not fit")] if len(problems) > _SHOWN else []
    if problems:
        raise CheckpointError.of([*problems[:_SHOWN], *more])
