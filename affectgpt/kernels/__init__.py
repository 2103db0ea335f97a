"""Operators with a PyTorch reference each. Needs torch; Triton only where a Triton kernel runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affectgpt._moved import add_old_folders

if TYPE_CHECKING:
    from affectgpt.kernels.absorbed_cross_modal.api import absorbed_cross_modal_attention
    from affectgpt.kernels.cross_modal.api import cross_modal_attention

__all__ = ["absorbed_cross_modal_attention", "cross_modal_attention"]

_FOLDERS = {"absorbed_cross_modal_attention": "absorbed_cross_modal", "cross_modal_attention": "cross_modal"}

add_old_folders(__name__)


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return getattr(import_module(f"{__name__}.{_FOLDERS[name]}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
