"""Fusers built from the live catalog, and token sequences to feed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.registry.discovery import discover

CATALOG = discover()
STREAMS, WIDTHS = ("face", "audio", "frame"), (16, 24, 16)


@dataclass(frozen=True)
class Case:
    """One fuser with a number of inputs, and one of its options at one of its values (defaults otherwise)."""

    plugin: str
    count: int
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.plugin, str(self.count), *(f"{key}={value}" for key, value in self.options)])

    def config(self) -> Any:
        made = CATALOG.config_class(CATALOG.get("fuser", self.plugin))
        return made(inputs=list(STREAMS[: self.count]), **dict(self.options))

    def specs(self, length: int) -> dict[str, TokenSpec]:
        """The inputs' types, each of its own width."""
        return {
            name: TokenSpec(modality=name, dim=width, tokens=length)
            for name, width in list(zip(STREAMS, WIDTHS, strict=True))[: self.count]
        }

    def build(self, length: int = 7, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        config, specs = self.config(), self.specs(length)
        module: nn.Module = CATALOG.target_class(CATALOG.get("fuser", self.plugin))(config, specs, config.infer(specs))
        return module.eval()


def _cases() -> Iterator[Case]:
    for name in CATALOG.names("fuser"):
        config = CATALOG.config_class(CATALOG.get("fuser", name))
        least, most = config.arity
        counts = [count for count in (1, 2, 3) if count >= least and (most is None or count <= most)]
        assert counts, f"{name} takes neither one, two nor three inputs"
        for count in counts:
            yield Case(name, count)
        for key, field in config.model_fields.items():
            if get_origin(field.annotation) is Literal:
                for value in get_args(field.annotation):
                    if value != field.default:
                        yield Case(name, counts[-1], ((key, value),))


CASES = tuple(_cases())


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Every fuser that discovery finds, by number of inputs and by choice of option."""
    value: Case = request.param
    return value


def random_tokens(case: Case, lengths: list[list[int]], *, longest: int | None = None) -> dict[str, Tokens]:
    """Inputs of `case`: `lengths[row][input]` real tokens each, padded with 0 to `longest`."""
    generator = torch.Generator().manual_seed(1)
    made = {}
    for index, (name, spec) in enumerate(case.specs(1).items()):
        counts = [row[index] for row in lengths]
        total = longest if longest is not None else max(*counts, 1)
        mask = torch.arange(total)[None] < torch.tensor(counts)[:, None]
        values = torch.zeros(len(counts), total, spec.dim)
        times = torch.zeros(len(counts), total)
        for row, count in enumerate(counts):
            values[row, :count] = torch.randn(count, spec.dim, generator=generator)
            times[row, :count] = torch.rand(count, generator=generator).cumsum(0)
        made[name] = Tokens(values, mask, times)
    return made


@pytest.fixture(scope="session")
def cases() -> tuple[Case, ...]:
    """All of them at once."""
    return CASES


@pytest.fixture(scope="session")
def make_tokens() -> Callable[..., dict[str, Tokens]]:
    return random_tokens


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)
