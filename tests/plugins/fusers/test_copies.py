"""`copies`: one token given several times, as the released AffectGPT does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.mean import Mean
from affectgpt.plugins.fusers.mean_config import MeanConfig
from affectgpt.plugins.fusers.modality_attention import ModalityAttention
from affectgpt.plugins.fusers.modality_attention_config import ModalityAttentionConfig
from affectgpt.plugins.fusers.temporal_attention import TemporalAttention
from affectgpt.plugins.fusers.temporal_attention_config import TemporalAttentionConfig

SPECS = {"face": TokenSpec(modality="face", dim=6, tokens=9), "audio": TokenSpec(modality="audio", dim=4, tokens=9)}
FUSERS = [
    (Mean, MeanConfig, ["face"]),
    (TemporalAttention, TemporalAttentionConfig, ["face"]),
    (ModalityAttention, ModalityAttentionConfig, ["face", "audio"]),
]


@pytest.mark.parametrize(("target", "config", "inputs"), FUSERS)
def test_the_same_token_several_times(target: Any, config: Any, inputs: list[str]) -> None:
    specs = {name: SPECS[name] for name in inputs}
    once, thrice = config(inputs=inputs), config(inputs=inputs, copies=3)
    assert once.infer(specs).tokens == 1 and thrice.infer(specs).tokens == 3
    assert once.parameters(specs) == thrice.parameters(specs)
    single, several = (target(each, specs, each.infer(specs)).eval() for each in (once, thrice))
    several.load_state_dict(single.state_dict())
    mask = torch.tensor([[True] * 4, [False] * 4])
    argument = {name: Tokens(torch.randn(2, 4, spec.dim), mask, torch.rand(2, 4)) for name, spec in specs.items()}
    one, three = single(argument), several(argument)
    assert torch.equal(three.values, one.values.expand(-1, 3, -1)) and three.values.shape[1] == 3
    assert torch.equal(three.valid(), one.valid().expand(-1, 3))
    assert (one.times is None) == (three.times is None)
    assert three.times is None or torch.equal(three.times, one.times.expand(-1, 3))
    assert (one.attribution is None) or torch.equal(one.attribution, three.attribution)


@pytest.mark.parametrize("copies", [0, -1, 1000])
def test_a_count_that_makes_no_sense(copies: int) -> None:
    with pytest.raises(ValueError, match="copies"):
        MeanConfig(inputs=["face"], copies=copies)
