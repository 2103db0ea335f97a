"""Operators with a PyTorch reference each. Needs torch; Triton only where a Triton kernel runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectgpt.kernels.cross_modal_attention.api import cross_modal_attention

__all__ = ["cross_modal_attention"]


def __getattr__(name: str) -> Any:
    if name == "cross_modal_attention":
        from affectgpt.kernels.cross_modal_attention.api import cross_modal_attention

        # Importing the folder has bound its own name here: the function is what a caller means.
        globals()[name] = cross_modal_attention
        return cross_modal_attention
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
