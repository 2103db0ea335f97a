"""A plugin-based fusion framework for multimodal language models, and AffectGPT assembled with it.

Names are imported when they are first used (PEP 562), so that `import affectgpt` costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AffectGPTError": "registry.errors",
    "Catalog": "registry.catalog",
    "Clip": "media.clip",
    "EncoderConfig": "core.contracts",
    "Extraction": "core.contracts",
    "ExtractorConfig": "core.contracts",
    "FuserConfig": "core.contracts",
    "InterfaceError": "registry.errors",
    "LLMConfig": "core.contracts",
    "MediaBatch": "core.tokens",
    "ModelPath": "core.contracts",
    "Pipeline": "core.pipeline",
    "PluginSpec": "registry.spec",
    "Prepared": "core.tokens",
    "TokenSpec": "core.token_spec",
    "Tokens": "core.tokens",
    "assemble": "core.assembly",
    "build_extractor": "core.extraction",
    "discover": "registry.discovery",
    "encoder": "registry.spec",
    "extractor": "registry.spec",
    "from_pretrained": "hub.loading",
    "fuser": "registry.spec",
    "hookimpl": "registry.hooks",
    "llm": "registry.spec",
    "load": "core.saved.model",
    "load_config": "core.load_config",
    "make_plan": "core.plan",
    "push_to_hub": "hub.saving",
    "save": "core.saved.model",
    "save_pretrained": "hub.saving",
}
__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from affectgpt.core.assembly import assemble
    from affectgpt.core.contracts import EncoderConfig, Extraction, ExtractorConfig, FuserConfig, LLMConfig, ModelPath
    from affectgpt.core.extraction import build_extractor
    from affectgpt.core.load_config import load_config
    from affectgpt.core.pipeline import Pipeline
    from affectgpt.core.plan import make_plan
    from affectgpt.core.saved.model import load, save
    from affectgpt.core.token_spec import TokenSpec
    from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
    from affectgpt.hub.loading import from_pretrained
    from affectgpt.hub.saving import push_to_hub, save_pretrained
    from affectgpt.media.clip import Clip
    from affectgpt.registry.catalog import Catalog
    from affectgpt.registry.discovery import discover
    from affectgpt.registry.errors import AffectGPTError, InterfaceError
    from affectgpt.registry.hooks import hookimpl
    from affectgpt.registry.spec import PluginSpec, encoder, extractor, fuser, llm


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
