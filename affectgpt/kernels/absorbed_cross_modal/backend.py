"""Which of PyTorch and the Triton kernels computes a call."""

from __future__ import annotations

import importlib.util
import os
from typing import Literal

import torch
from torch import Tensor

Backend = Literal["auto", "torch", "triton"]
BACKENDS: tuple[Backend, ...] = ("auto", "torch", "triton")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Looked up once: torch.compile cannot trace the look-up, and Triton reads its own variable once, too.
_TRITON = importlib.util.find_spec("triton") is not None
_INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"


def choose_backend(asked: str, queries: Tensor) -> Literal["torch", "triton"]:
    """`asked`, or for `auto` the Triton kernels on a GPU that they can run on and PyTorch elsewhere.

    Raises ValueError for another word, RuntimeError when the Triton kernels are asked for and cannot run.
    """
    if asked not in BACKENDS:
        raise ValueError(f"absorbed_cross_modal_attention: backend is {asked!r}, expected one of {list(BACKENDS)}")
    if asked == "torch" or (asked == "auto" and queries.device.type != "cuda"):
        return "torch"
    reason = why_not_triton(queries)
    if reason and asked == "triton":
        raise RuntimeError(
            f"absorbed_cross_modal_attention: backend='triton' cannot run here: {reason}. "
            f"backend='auto' takes what can run"
        )
    return "torch" if reason else "triton"


def why_not_triton(queries: Tensor) -> str:
    """Why the Triton kernels cannot take `queries`; empty when they can."""
    dtype = product_dtype(queries)
    if not _TRITON:
        return "the package triton is not installed"
    if dtype not in _DTYPES:
        return f"the dtype is {dtype}, expected float32, bfloat16 or float16"
    if queries.device.type != "cuda" and not _INTERPRETED:
        return f"the tensors are on {queries.device.type}, expected a GPU, or TRITON_INTERPRET=1 in the environment"
    if _INTERPRETED and dtype == torch.bfloat16:
        return "Triton's interpreter multiplies bfloat16 wrongly; use float32 or float16 in it"
    return ""


def product_dtype(queries: Tensor) -> torch.dtype:
    """The dtype in which products of `queries` are made: theirs, or what autocast makes of it."""
    kind = queries.device.type
    if queries.dtype in _DTYPES and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return queries.dtype
