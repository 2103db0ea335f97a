"""`tfn`: Tensor Fusion Network."""

from __future__ import annotations

from collections.abc import Mapping

from einops import einsum, rearrange
from torch import nn
from torch.nn import functional

from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import Tokens
from affectgpt.plugins.fusers.pooling import masked_mean, present_inputs
from affectgpt.plugins.fusers.tensor_fusion_config import TensorFusionConfig


class TensorFusion(nn.Module):
    """Inputs `[B, T_m, D_m]` -> W vec([z_1; 1] x ... x [z_M; 1]) + b, `[B, 1, D]`, where x is the outer product.

    z_m = Linear(mean over time of h_m), so the products hold every interaction of one feature per input, of two, and
    of all (Zadeh et al. 2017, arXiv 1707.07250, section 3.2; the reduction stands for its embedding networks). An
    absent input has z_m = 0: only the interactions of the other inputs remain.
    """

    def __init__(self, config: TensorFusionConfig, inputs: Mapping[str, TokenSpec], output: TokenSpec) -> None:
        super().__init__()
        self.names = tuple(inputs)
        self.reduce = nn.ModuleList(nn.Linear(spec.dim, config.reduced) for spec in inputs.values())
        self.out = nn.Linear(config.products(inputs), output.dim)

    def forward(self, inputs: Mapping[str, Tokens]) -> Tokens:
        tokens, present = present_inputs(inputs, self.names)
        product = None
        for index, (reduce, source) in enumerate(zip(self.reduce, tokens, strict=True)):
            reduced = reduce(masked_mean(source)).masked_fill(~present[:, index, None], 0.0)
            factor = functional.pad(reduced, (0, 1), value=1.0)
            product = (
                factor
                if product is None
                else rearrange(einsum(product, factor, "b i, b j -> b i j"), "b i j -> b (i j)")
            )
        return Tokens(self.out(product)[:, None], present.any(dim=1, keepdim=True))
