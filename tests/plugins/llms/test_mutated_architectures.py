"""What `check` accepts as an architecture is built, trains and answers: over mutations of every common family."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from affectgpt.core.config import GenerationConfig
from affectgpt.plugins.llms.causal_lm import CausalLM
from affectgpt.plugins.llms.causal_lm_config import CausalLMConfig
from affectgpt.plugins.llms.decoder_facts import decoder_entry
from affectgpt.registry.errors import AffectGPTError, InterfaceError
from tests.plugins.llms.test_families import FAMILIES

NAN, INFINITE = float("nan"), float("inf")
ROTATIONS: list[Any] = [
    {"rope_type": "default", "rope_theta": 100.0},
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "linear", "factor": 0.5},
    {"rope_type": "linear"},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128},
    {"rope_type": "yarn", "factor": 2.0, "beta_fast": "a"},
    {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "factor": 2.0},
    {"rope_type": "longrope", "short_factor": [1.0] * 3, "long_factor": [2.0] * 4, "factor": 2.0},
    {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 4.0, "high_freq_factor": 1.0},
    {"rope_type": "proportional"},
    {"rope_type": "silly"},
    {"rope_type": ["linear"]},
    {"rope_theta": 0.0},
    {"rope_theta": "1e4"},
    {"partial_rotary_factor": 0.5},
    {"partial_rotary_factor": 0.01},
    {"full_attention": {"rope_theta": 10.0}, "sliding_attention": {"rope_theta": 10.0}},
    {"full_attention": {"rope_theta": 10.0}},
    {"full_attention": 3},
]
POOLS: dict[str, list[Any]] = {
    "int": [-1, 0, 1, 2, 3, 4, 5, 7, 8, 64, True, 2.5, "4", NAN],
    "float": [-1.0, -1e-5, 0.0, 1e-12, 1e-5, 0.25, 0.5, 1.0, 2.0, 1e9, NAN, INFINITE, -INFINITE, 0, 1, 2, "0.1"],
    "bool": [True, False, "no", 1, 0],
    "str": ["", "silly", "relu", "gelu", "auto", "random", "constant", 3, True],
    "list": [
        [],
        [0, 1],
        [1, 1, 1],
        [1.5],
        ["full_attention"],
        ["full_attention", "full_attention"],
        ["sliding_attention", "full_attention"],
        ["sliding_attention", "sliding_attention"],
        ["chunked_attention", "linear_attention"],
        ["silly", "silly"],
        3,
    ],
    "dict": [{}, {"a": 1}, 3, []],
    "None": [None],
}


def test_a_model_that_fails_at_its_first_token_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("first line\nand the reason")

    monkeypatch.setattr(CausalLM, "logits", fail)
    config = CausalLMConfig(init="random", architecture={"model_type": "llama", **FAMILIES["llama"]})
    with pytest.raises(InterfaceError, match="first line and the reason") as caught:
        CausalLM(config, config.infer())
    assert caught.value.problems[0].path == ("architecture",)


def sections(values: dict[str, Any], kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each mapping of an architecture, and the facts of its class."""
    entry = decoder_entry(kind)
    yield values, entry
    for name, inner in entry.get("sections", {}).items():
        if isinstance(values.get(name), dict):
            yield from sections(values[name], inner)


def mutated(family: str, chance: random.Random) -> tuple[dict[str, Any], str]:
    """The small sizes of a family with one or two hostile values, and which."""
    values = {"model_type": family, **copy.deepcopy(FAMILIES[family])}
    if family == "mpt" and chance.random() < 0.3:
        values["attn_config"] = {"attn_pdrop": 0.0}
    changes = []
    for _ in range(chance.choice((1, 1, 2))):
        section, entry = chance.choice(list(sections(values, family)))
        stated = [key for key in section if key in entry["keys"]]
        key = chance.choice(stated if stated and chance.random() < 0.4 else list(entry["keys"]))
        types = entry["keys"][key]
        if key in ("rope_parameters", "rope_scaling"):
            pool = ROTATIONS
        elif types == "any":
            pool = [value for values in POOLS.values() for value in values]
        else:
            pool = [value for name in types.split("|") for value in POOLS[name.partition("[")[0]]]
        if type(section.get(key)) is int and chance.random() < 0.3:
            pool = [section[key] * 2, section[key] + 1, section[key] - 1, -section[key]]
        section[key] = copy.deepcopy(chance.choice(pool))
        changes.append(f"{key}: {section[key]!r}")
    return values, f"{family} with {', '.join(changes)}"


def use(config: CausalLMConfig) -> None:
    """Build, take two steps and answer."""
    output = config.infer()
    llm = CausalLM(config, output)
    length = min(6, output.tokens - 4)
    if length < 1:  # no prompt fits: a pipeline's own check
        return
    ids = torch.randint(3, 250, (2, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, : length // 2] = False
    optimizer = torch.optim.AdamW(llm.parameters(), lr=1e-4)
    llm.train()
    for _ in range(2):
        logits = llm.logits(llm.embed(ids), mask)
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        assert torch.isfinite(loss), f"the loss is {loss}"
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    llm.eval()
    assert len(llm.generate(llm.embed(ids), mask, GenerationConfig(max_new_tokens=3))) == 2


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 13))])
def test_what_is_accepted_works(part: int) -> None:
    """Rules foresee most of what fails: of many more values, one accepted mutant in 16 may still be an error."""
    failures, accepted = [], 0
    count, allowed = (250, 1 / 16) if part else (60, 0)
    for seed in range(part * 250, part * 250 + count):
        chance = random.Random(seed)
        values, change = mutated(chance.choice(list(FAMILIES)), chance)
        config = CausalLMConfig(init="random", architecture=values, frozen=False)
        try:
            config.infer()
        except AffectGPTError:
            continue
        accepted += 1
        torch.manual_seed(seed)
        try:
            use(config)
        except Exception as error:
            failures.append(f"{seed}: {change}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    assert len(failures) <= allowed * accepted, f"{len(failures)} of {accepted}\n" + "\n".join(failures)
    assert accepted > count / 5
