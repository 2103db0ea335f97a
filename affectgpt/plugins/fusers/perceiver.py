"""`perceiver`: a resampler, learned latents that read any number of tokens in layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.attention import Attention, Embed, FeedForward
from affectgpt.plugins.fusers.perceiver_config import PerceiverConfig
from affectgpt.plugins.fusers.pooling import present_inputs


class Perceiver(nn.Module):
    """Inputs `[B, T_m, D_m]` -> latents `[B, queries, dim]`.

    Per layer the latents attend to all inputs' tokens and to themselves under one softmax, then go through a
    feed-forward layer, each with a residual sum (the Perceiver Resampler of Flamingo, Alayrac et al. 2022, arXiv
    2204.14198, section 3.1.1 and appendix A.1.1; Perceiver: Jaegle et al. 2021, arXiv 2103.03206). Before that, tokens
    are brought to one width, and embeddings of their time and their modality are added. `attribution [B, M]` is each
    input's share of the attention that the latents did not pay to themselves, averaged over layers, heads and latents.
    """

    def __init__(self, config: PerceiverConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        width, heads = output.dim, config.head_count(inputs)
        # The bias of each input's Linear distinguishes the modalities.
        self.embed = nn.ModuleList(Embed(spec.dim, width) for spec in inputs.values())
        self.latents = nn.Parameter(torch.randn(1, config.queries, width) * width**-0.5)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        self.attend = nn.ModuleList(Attention(width, heads) for _ in range(config.layers))
        self.feed_forward = nn.ModuleList(FeedForward(width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        sources, present = present_inputs(inputs, self.names)
        masks = [*(source.valid() for source in sources), None]
        tokens = [embed(source) for embed, source in zip(self.embed, sources, strict=True)]
        latents = self.latents.expand(tokens[0].shape[0], -1, -1)
        shares = []
        for norm, attend, feed_forward in zip(self.norms, self.attend, self.feed_forward, strict=True):
            normed = norm(latents)
            assert isinstance(attend, Attention)
            attended, mass = attend.attend_sequences(normed, [*tokens, normed], masks)
            latents = latents + attended
            latents = latents + feed_forward(latents)
            shares.append(mass.detach()[..., :-1].mean(dim=(1, 2)))
        share = torch.stack(shares).mean(dim=0).masked_fill(~present, 0.0)
        share = share / share.sum(dim=1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        mask = present.any(dim=1, keepdim=True).expand(-1, latents.shape[1])
        return Tokens(self.norm(latents), mask, None, share if len(self.names) > 1 else None)
