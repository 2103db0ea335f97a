"""A plugin-based fusion framework for multimodal language models, and AffectGPT assembled with it.

Names are imported when they are first used (PEP 562), so that `import affectgpt` costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from affectgpt import _moved
from affectgpt.core.describing import register_describer

__version__ = "0.2.0.dev0"

_moved.install()

_MODULE_OF = {
    "AffectGPTError": "registry.errors",
    "Batch": "core.batch",
    "Catalog": "registry.catalog",
    "CheckpointError": "registry.errors",
    "Clip": "media.clip",
    "ConfigError": "registry.errors",
    "DataError": "registry.errors",
    "Encoder": "core.contracts",
    "EncoderConfig": "core.contracts",
    "Extraction": "core.contracts",
    "Extractor": "core.contracts",
    "ExtractorConfig": "core.contracts",
    "Fuser": "core.contracts",
    "FuserConfig": "core.contracts",
    "InterfaceError": "registry.errors",
    "LLM": "core.contracts",
    "LLMConfig": "core.contracts",
    "MediaBatch": "core.tokens",
    "MediaError": "registry.errors",
    "ModelPath": "core.contracts",
    "Pipeline": "core.pipeline",
    "PipelineConfig": "core.config",
    "Plan": "core.plan",
    "PlannedNode": "core.plan",
    "PluginError": "registry.errors",
    "PluginSpec": "registry.spec",
    "Prepared": "core.tokens",
    "Problem": "registry.errors",
    "RunError": "registry.errors",
    "TokenSpec": "core.token_spec",
    "Tokens": "core.tokens",
    "assemble": "core.assembly",
    "build_extractor": "core.extraction",
    "collate": "core.batch",
    "discover": "api.catalog",
    "encoder": "core.kinds",
    "extractor": "core.kinds",
    "from_pretrained": "hub.loading",
    "fuser": "core.kinds",
    "hookimpl": "registry.hooks",
    "llm": "core.kinds",
    "load": "core.saved.model",
    "load_config": "core.load_config",
    "make_plan": "core.plan",
    "push_to_hub": "hub.saving",
    "save": "core.saved.model",
    "save_pretrained": "hub.saving",
}
__all__ = ["__version__", *_MODULE_OF]

# `core` does not import `serving`: this package, which knows all of its folders, connects the two.
register_describer(lambda: import_module("affectgpt.serving.describe"))  # type: ignore[arg-type,return-value]

if TYPE_CHECKING:
    from affectgpt.api.catalog import discover as discover
    from affectgpt.core.assembly import assemble as assemble
    from affectgpt.core.batch import Batch as Batch
    from affectgpt.core.batch import collate as collate
    from affectgpt.core.config import PipelineConfig as PipelineConfig
    from affectgpt.core.contracts import LLM as LLM
    from affectgpt.core.contracts import Encoder as Encoder
    from affectgpt.core.contracts import EncoderConfig as EncoderConfig
    from affectgpt.core.contracts import Extraction as Extraction
    from affectgpt.core.contracts import Extractor as Extractor
    from affectgpt.core.contracts import ExtractorConfig as ExtractorConfig
    from affectgpt.core.contracts import Fuser as Fuser
    from affectgpt.core.contracts import FuserConfig as FuserConfig
    from affectgpt.core.contracts import LLMConfig as LLMConfig
    from affectgpt.core.contracts import ModelPath as ModelPath
    from affectgpt.core.extraction import build_extractor as build_extractor
    from affectgpt.core.kinds import encoder as encoder
    from affectgpt.core.kinds import extractor as extractor
    from affectgpt.core.kinds import fuser as fuser
    from affectgpt.core.kinds import llm as llm
    from affectgpt.core.load_config import load_config as load_config
    from affectgpt.core.pipeline import Pipeline as Pipeline
    from affectgpt.core.plan import Plan as Plan
    from affectgpt.core.plan import PlannedNode as PlannedNode
    from affectgpt.core.plan import make_plan as make_plan
    from affectgpt.core.saved.model import load as load
    from affectgpt.core.saved.model import save as save
    from affectgpt.core.token_spec import TokenSpec as TokenSpec
    from affectgpt.core.tokens import MediaBatch as MediaBatch
    from affectgpt.core.tokens import Prepared as Prepared
    from affectgpt.core.tokens import Tokens as Tokens
    from affectgpt.hub.loading import from_pretrained as from_pretrained
    from affectgpt.hub.saving import push_to_hub as push_to_hub
    from affectgpt.hub.saving import save_pretrained as save_pretrained
    from affectgpt.media.clip import Clip as Clip
    from affectgpt.registry.catalog import Catalog as Catalog
    from affectgpt.registry.errors import AffectGPTError as AffectGPTError
    from affectgpt.registry.errors import CheckpointError as CheckpointError
    from affectgpt.registry.errors import ConfigError as ConfigError
    from affectgpt.registry.errors import DataError as DataError
    from affectgpt.registry.errors import InterfaceError as InterfaceError
    from affectgpt.registry.errors import MediaError as MediaError
    from affectgpt.registry.errors import PluginError as PluginError
    from affectgpt.registry.errors import Problem as Problem
    from affectgpt.registry.errors import RunError as RunError
    from affectgpt.registry.hooks import hookimpl as hookimpl
    from affectgpt.registry.spec import PluginSpec as PluginSpec
else:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
