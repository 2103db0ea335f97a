"""The plugin `highway` for affectgpt. This module is imported to list plugins, so it imports no torch."""

from __future__ import annotations

from affectgpt import PluginSpec, hookimpl


@hookimpl
def affectgpt_plugins() -> list[PluginSpec]:
    """The plugins of this package."""
    return [
        PluginSpec(
            name="highway",
            kind="fuser",
            config="affectgpt_highway.config:HighwayConfig",
            target="affectgpt_highway.module:Highway",
            summary="a gate between a transform of all inputs and their mean",
            citation="highway networks: Srivastava et al., 2015, arXiv:1505.00387",
        )
    ]
