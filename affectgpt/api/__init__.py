"""The public functions, one module per subject. Each module imports what it needs when a function is called.

`affectgpt` exports every name of this package. Importing it costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_MODULE_OF = {
    "discover": "catalog",
}
__all__ = [*_MODULE_OF]

if TYPE_CHECKING:
    from affectgpt.api.catalog import discover as discover
else:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
