"""Operators with a PyTorch reference each. Needs torch; Triton only where a Triton kernel runs."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectgpt.kernels.absorbed_cross_modal_attention.api import absorbed_cross_modal_attention
    from affectgpt.kernels.cross_modal_attention.api import cross_modal_attention

__all__ = ["absorbed_cross_modal_attention", "cross_modal_attention"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Operators(ModuleType):
    # An operator and its folder share a name. Importing the folder would bind it here in the operator's place.
    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Operators
