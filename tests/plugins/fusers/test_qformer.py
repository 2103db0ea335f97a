"""`qformer`: where the positions lie. What it computes is held against transformers' own Q-Former in tests/released."""

from __future__ import annotations

import torch

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.qformer import QFormer
from affectgpt.plugins.fusers.qformer_config import QFormerConfig


def test_padding_in_front_does_not_move_the_positions() -> None:
    config = QFormerConfig(inputs=["face", "audio"], queries=16, dim=32, heads=4, intermediate=48, positions=264)
    specs = {name: TokenSpec(modality=name, dim=dim, tokens=8) for name, dim in (("face", 48), ("audio", 64))}
    ours = QFormer(config, specs, config.infer(specs)).eval()
    hidden = [torch.randn(1, 8, 48), torch.randn(1, 5, 64)]
    plain = ours({"face": Tokens(hidden[0]), "audio": Tokens(hidden[1])})
    front = torch.cat([torch.full((1, 3, 48), torch.nan), hidden[0]], dim=1)
    mask = torch.tensor([[False] * 3 + [True] * 8])
    moved = ours({"face": Tokens(front, mask), "audio": Tokens(hidden[1])})
    torch.testing.assert_close(moved.values, plain.values)
