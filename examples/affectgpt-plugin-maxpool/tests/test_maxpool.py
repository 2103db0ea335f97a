from __future__ import annotations

import torch
from affectgpt_maxpool.config import MaxPoolConfig
from affectgpt_maxpool.module import MaxPool

from affectgpt import Tokens, TokenSpec

SPECS = {"face": TokenSpec(modality="face", dim=2, tokens=3, exact=False)}


def test_only_real_tokens_count() -> None:
    config = MaxPoolConfig(inputs=["face"])
    fuser = MaxPool(config, SPECS, config.infer(SPECS))
    values = torch.tensor([[[1.0, -5.0], [-2.0, -3.0], [float("nan"), 99.0]], [[7.0, 7.0]] * 3])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    fused = fuser({"face": Tokens(values, mask)})
    assert fused.values.tolist() == [[[1.0, -3.0]], [[0.0, 0.0]]]
    assert fused.mask is not None and fused.mask.tolist() == [[True], [False]]


def test_what_is_declared_is_what_comes_out() -> None:
    config = MaxPoolConfig(inputs=["face"])
    spec = config.infer(SPECS)
    fused = MaxPool(config, SPECS, spec)({"face": Tokens(torch.randn(4, 3, 2))})
    assert fused.values.shape == (4, spec.tokens, spec.dim)
