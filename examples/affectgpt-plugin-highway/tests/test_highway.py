"""`highway` keeps what every fuser keeps, and computes what it says."""

from __future__ import annotations

import torch
from affectgpt_highway.config import HighwayConfig
from affectgpt_highway.module import Highway

from affectgpt import Tokens, TokenSpec
from affectgpt.testing import FuserContract


class TestHighway(FuserContract):
    name = "highway"


def test_closed_gates_carry_the_mean() -> None:
    specs = {name: TokenSpec(modality=name, dim=4, tokens=3) for name in ("face", "audio")}
    config = HighwayConfig(inputs=list(specs), carry=100.0)
    fuser = Highway(config, specs, config.infer(specs)).eval()
    inputs = {name: Tokens(torch.randn(2, 3, 4)) for name in specs}
    read = [layer(inputs[name].values.mean(dim=1)) for layer, name in zip(fuser.read, specs, strict=True)]
    torch.testing.assert_close(fuser(inputs).values[:, 0], (read[0] + read[1]) / 2)


def test_open_gates_let_the_transform_through() -> None:
    specs = {"face": TokenSpec(modality="face", dim=4, tokens=3)}
    config = HighwayConfig(inputs=["face"], carry=-100.0, layers=1)
    fuser = Highway(config, specs, config.infer(specs)).eval()
    tokens = Tokens(torch.randn(2, 3, 4))
    expected = fuser.transforms[0](fuser.read[0](tokens.values.mean(dim=1))).relu()
    torch.testing.assert_close(fuser({"face": tokens}).values[:, 0], expected)
