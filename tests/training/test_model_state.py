"""A run that is put back from its tensors takes the very steps of the run that went on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.parallel import DistributedDataParallel

from affectgpt.core.node_modules import NodeModules
from affectgpt.registry.errors import CheckpointError
from affectgpt.training.model_state import gather, restore


class Small(nn.Module):
    """A trained and a frozen part with batch norms, a LoRA'd matrix, a table tied to the head, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        # A node may have the name of an attribute.
        self.parts = NodeModules({"values": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8, affine=False))})
        self.frozen = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)).requires_grad_(False)
        self.body = nn.Module()
        self.body.matrix = nn.Linear(8, 8).requires_grad_(False)
        inject_adapter_in_model(LoraConfig(r=2, target_modules=["matrix"], lora_dropout=0.2), self.body)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.table.weight
        self.late = nn.Parameter(torch.ones(8))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def train(self, mode: bool = True) -> Small:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, ids: Tensor, late: bool) -> Tensor:
        values = self.frozen(self.parts["values"](self.table(ids)))
        values = nn.functional.dropout(self.body.matrix(values), 0.1, self.training)
        return nn.functional.cross_entropy(self.head(values * self.late if late else values), ids)


def fresh(seed: int = 0) -> tuple[Small, torch.optim.AdamW]:
    torch.manual_seed(seed)
    model = Small()
    # What is frozen is assembled anew on resume, from a model folder or the config's seed.
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            nn.init.normal_(parameter, generator=generator)
    trained = [item for item in model.parameters() if item.requires_grad]
    matrices, vectors = [item for item in trained if item.ndim > 1], [item for item in trained if item.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0, "lr": 0.02}]
    return model.train(), torch.optim.AdamW(groups, lr=0.01)


def steps(model: Any, optimizer: Any, numbers: range) -> list[float]:
    losses = []
    for step in numbers:
        torch.manual_seed(step)
        loss = model(torch.randint(0, 11, (6,)), step >= 3)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def same(remaining: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return remaining.keys() == right.keys() and all(
        remaining[name].dtype == right[name].dtype and remaining[name].equal(right[name]) for name in remaining
    )


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5])
def test_the_next_steps_are_those_of_the_run_that_went_on(at: int) -> None:
    model, optimizer = fresh()
    steps(model, optimizer, range(at))
    tensors = gather(model, optimizer)
    expected = steps(model, optimizer, range(at, at + 4))
    second, other_optimizer = fresh(seed=9)
    restore(second, other_optimizer, tensors)
    assert same(gather(second, other_optimizer), tensors)
    assert steps(second, other_optimizer, range(at, at + 4)) == expected
    assert same(gather(second, other_optimizer), gather(model, optimizer))
    assert all(one.equal(two) for one, two in zip(model.buffers(), second.buffers(), strict=True))


def test_a_run_can_be_put_back_over_one_that_went_on() -> None:
    model, optimizer = fresh()
    steps(model, optimizer, range(2))
    tensors = gather(model, optimizer)
    expected = steps(model, optimizer, range(2, 6))
    restore(model, optimizer, tensors)
    assert steps(model, optimizer, range(2, 6)) == expected, "tensors changed with the model they were gathered from"


def test_looking_changes_nothing() -> None:
    (model, optimizer), (watched, watched_optimizer) = fresh(), fresh()
    losses = []
    for step in range(5):
        gather(watched, watched_optimizer)
        losses += steps(watched, watched_optimizer, range(step, step + 1))
    assert losses == steps(model, optimizer, range(5))


def test_what_is_kept_is_what_training_changes() -> None:
    model, optimizer = fresh()
    steps(model, optimizer, range(1))
    tensors = gather(model, optimizer)
    trained = {
        "table.weight",
        "parts.values.0.weight",
        "parts.values.0.bias",
        "late",
        "body.matrix.lora_A.default.weight",
        "body.matrix.lora_B.default.weight",
    }
    statistics = {f"parts.values.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert tensors.keys() == {f"model.{name}" for name in trained | statistics} | {
        f"optimizer.{name}.{key}" for name in trained for key in ("exp_avg", "exp_avg_sq", "step")
    }
    assert all(each.is_contiguous() and each.device.type == "cpu" for each in tensors.values())


def test_bfloat16_stays_bfloat16() -> None:
    model, optimizer = fresh()
    model.to(torch.bfloat16)
    steps(model, optimizer, range(2))
    tensors = gather(model, optimizer)
    assert tensors["optimizer.table.weight.exp_avg"].dtype == tensors["model.table.weight"].dtype == torch.bfloat16
    expected = steps(model, optimizer, range(2, 4))
    second, other_optimizer = fresh(seed=9)
    second.to(torch.bfloat16)
    restore(second, other_optimizer, tensors)
    assert steps(second, other_optimizer, range(2, 4)) == expected


Change = Callable[[dict[str, Tensor]], object]
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "missing": (
        lambda given: [given.pop(name) for name in ("model.late", "optimizer.table.weight.step")],
        ["model.late is missing", "optimizer.table.weight.step is missing"],
    ),
    "statistics missing": (lambda given: given.pop("model.parts.values.1.running_mean"), ["running_mean is missing"]),
    "unexpected": (
        lambda given: given.update({"model.more": torch.zeros(1), "else": torch.zeros(1)}),
        ["model.more does not belong", "else does not belong"],
    ),
    "frozen": (
        lambda given: given.update({"model.frozen.0.weight": torch.zeros(8, 8)}),
        ["model.frozen.0.weight does not belong"],
    ),
    "shape": (lambda given: given.update({"model.late": torch.zeros(1, 8)}), ["model.late has the wrong form"]),
    "broadcasts": (
        lambda given: given.update({"optimizer.late.exp_avg": torch.zeros(1)}),
        ["optimizer.late.exp_avg has the wrong form"],
    ),
    "dtype": (lambda given: given.update({"model.late": torch.zeros(8).double()}), ["model.late has the wrong form"]),
    "step": (
        lambda given: given.update({"optimizer.late.step": torch.zeros(2)}),
        ["optimizer.late.step has the wrong form"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_named_and_changes_nothing(name: str) -> None:
    change, words = CHANGES[name]
    model, optimizer = fresh()
    steps(model, optimizer, range(1))
    before = gather(model, optimizer)
    inputs = {key: each + 1 for key, each in before.items()}
    change(inputs)
    with pytest.raises(CheckpointError) as caught:
        restore(model, optimizer, inputs)
    assert len(caught.value.problems) == len(words)
    assert all(any(word in problem.what for problem in caught.value.problems) for word in words)
    assert same(gather(model, optimizer), before)


def test_of_many_that_do_not_fit_the_first_are_named() -> None:
    model, optimizer = fresh()
    with pytest.raises(CheckpointError, match="and 10 more tensors do not fit") as caught:
        restore(model, optimizer, {f"model.{number}": torch.zeros(1) for number in range(3)})
    assert len(caught.value.problems) == 21


def test_an_optimizer_of_something_else_is_refused() -> None:
    model, _ = fresh()
    with pytest.raises(ValueError, match="frozen or not in the model"):
        gather(model, torch.optim.AdamW(model.parameters()))
    momentum = torch.optim.SGD([model.late], momentum=0.9)
    steps(model, momentum, range(3, 4))
    with pytest.raises(TypeError, match="momentum_buffer"):
        gather(model, momentum)


@pytest.fixture
def single_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("single_process")
def test_wrappers_change_no_name() -> None:
    model, optimizer = fresh()
    steps(model, optimizer, range(2))
    tensors = gather(model, optimizer)
    expected = steps(model, optimizer, range(2, 5))
    AcceleratorState._reset_state(reset_partial_state=True)
    second, other_optimizer = fresh(seed=9)
    prepared = Accelerator(cpu=True).prepare(other_optimizer)
    wrapped = DistributedDataParallel(second, find_unused_parameters=True)
    restore(wrapped, prepared, tensors)
    assert same(gather(wrapped, prepared), tensors)
    assert steps(wrapped, prepared, range(2, 5)) == expected
    complete: Any = torch.compile(model)
    assert gather(complete, optimizer).keys() == tensors.keys()
    model.parts["values"] = torch.compile(model.parts["values"])
    model.body = checkpoint_wrapper(model.body)
    assert gather(model, optimizer).keys() == tensors.keys()
    AcceleratorState._reset_state(reset_partial_state=True)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 7), nn.Linear(7, 5, bias=False)
        self.fixed = nn.Linear(5, 5).requires_grad_(False)
        self.second.norm = nn.BatchNorm1d(7)

    def forward(self, values: Tensor) -> Tensor:
        return self.fixed(self.second(self.second.norm(self.first(values).tanh()))).square().mean()


def _split(rank: int, folder: str) -> None:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)

    def build(seed: int) -> tuple[nn.Module, torch.optim.AdamW]:
        torch.manual_seed(1)
        model = Plain()
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter)
        fully_shard(model.first)
        fully_shard(model)
        return model, torch.optim.AdamW(
            [parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.01
        )

    def run(model: nn.Module, optimizer: torch.optim.AdamW, numbers: range) -> list[float]:
        losses = []
        for step in numbers:
            torch.manual_seed(2 * step + rank)
            loss = model(torch.randn(4, 5))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    model, optimizer = build(0)
    assert isinstance(model.first.weight, DTensor)
    run(model, optimizer, range(2))
    tensors = gather(model, optimizer)
    process = run(model, optimizer, range(2, 5))
    inputs: list[Any] = [tensors]
    dist.broadcast_object_list(inputs)
    assert bool(tensors) == (rank == 0)
    assert inputs[0]["optimizer.first.weight.exp_avg"].shape == (7, 5)
    assert not any("fixed" in name for name in inputs[0])
    second, other_optimizer = build(9)
    restore(second, other_optimizer, inputs[0])
    assert run(second, other_optimizer, range(2, 5)) == process
    ends = gather(model, optimizer), gather(second, other_optimizer)
    assert same(*ends)
    # What several processes wrote, one can read.
    single = Plain()
    restore(
        single,
        torch.optim.AdamW([parameter for parameter in single.parameters() if parameter.requires_grad]),
        inputs[0],
    )
    assert single.first.weight.equal(inputs[0]["model.first.weight"])
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_model_split_over_processes_is_gathered_whole(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_split, args=(str(tmp_path),), nprocs=2)
