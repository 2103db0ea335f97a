"""The built-in plugins, declared to the registry by the same entry point as those of another package.

A plugin is two modules side by side: `NAME_config.py`, without torch, holds its options and its declaration `SPEC`;
`NAME.py` holds the class that does the work. Configs build their validators when they are used (`defer_build`): a
command uses few of them.
"""

from __future__ import annotations

from importlib import import_module

from affectgpt.core.kinds import KINDS
from affectgpt.registry.hooks import hookimpl
from affectgpt.registry.kinds import PluginKind
from affectgpt.registry.spec import PluginSpec

# In the order in which `affectgpt plugins` lists them.
_MODULES = {
    "encoders": "clip_vision speech timm_vision open_clip_vision mel timm_mel",
    "fusers": "temporal_attention modality_attention qformer cross_attention perceiver bottleneck"
    " crossmodal_transformer tensor_fusion low_rank_fusion gated film mixture_of_experts mean concat",
    "llms": "causal_lm",
    "extractors": "lexicon llm",
}


@hookimpl
def affectgpt_kinds() -> tuple[PluginKind, ...]:
    """The kinds of plugins of this project."""
    return KINDS


@hookimpl
def affectgpt_plugins() -> list[PluginSpec]:
    """The declarations of the plugins that ship with this project. Imports their config modules."""
    return [
        import_module(f"{__name__}.{folder}.{module}_config").SPEC
        for folder, modules in _MODULES.items()
        for module in modules.split()
    ]
