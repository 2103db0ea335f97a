"""Calls with a catalog, as before version 0.2: they work, with a DeprecationWarning, until 0.3. No torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from affectgpt.registry.catalog import Catalog

P = ParamSpec("P")
R = TypeVar("R")


def accepts_catalog(function: Callable[P, R]) -> Callable[P, R]:
    """`function(first, ...)` that may also be called as `function(first, catalog, ...)`.

    The catalog is ignored: a validated config knows its plugins. So is a `source` behind it, which the config has too;
    `without` is today's `skip_encoders`.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if "catalog" in kwargs or (len(args) > 1 and isinstance(args[1], Catalog)):
            from affectgpt.core.yaml_source import Source

            name = function.__name__
            message = f"{name}() with a catalog: leave it out, and the source behind it; goes in 0.3"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            options = {key: value for key, value in kwargs.items() if key not in ("catalog", "source")}
            if "without" in options:
                options["skip_encoders"] = options.pop("without")
            further = [value for value in args[1:] if not isinstance(value, Catalog | Source | None)]
            return function(args[0], *further, **options)  # type: ignore[arg-type]
        return function(*args, **kwargs)

    return call
