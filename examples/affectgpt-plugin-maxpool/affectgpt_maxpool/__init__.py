"""A fuser plugin for affectgpt. This module is imported to list plugins, so it imports no torch."""

from __future__ import annotations

from affectgpt import PluginSpec, hookimpl


@hookimpl
def affectgpt_plugins() -> list[PluginSpec]:
    """The plugins of this package."""
    return [
        PluginSpec(
            name="maxpool",
            kind="fuser",
            config="affectgpt_maxpool.config:MaxPoolConfig",
            target="affectgpt_maxpool.module:MaxPool",
            summary="one input to one token, the largest value over time",
        )
    ]
