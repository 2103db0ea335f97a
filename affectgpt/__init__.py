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
    "BenchmarkScore": "api.scores",
    "BrokenClip": "api.data_sets",
    "Catalog": "registry.catalog",
    "CheckResult": "api.catalog",
    "CheckpointError": "registry.errors",
    "Clip": "media.clip",
    "Comparison": "api.comparison",
    "ConfigError": "registry.errors",
    "ConversionReport": "api.conversion",
    "DataError": "registry.errors",
    "DatasetHealth": "api.benchmark",
    "Description": "api.models",
    "DoctorReport": "api.benchmark",
    "Encoded": "api.training",
    "Encoder": "core.contracts",
    "EncoderConfig": "core.contracts",
    "Environment": "api.machine",
    "Example": "api.data_sets",
    "ExportedPrompt": "api.server",
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
    "PairedTest": "api.scores",
    "Pipeline": "core.pipeline",
    "PipelineConfig": "core.config",
    "Plan": "core.plan",
    "PlannedNode": "core.plan",
    "PluginError": "registry.errors",
    "PluginSpec": "registry.spec",
    "PredictionFile": "api.benchmark",
    "Prepared": "core.tokens",
    "Problem": "registry.errors",
    "RunError": "registry.errors",
    "Sample": "api.data_sets",
    "Score": "api.scores",
    "ServedDescription": "api.server",
    "ServerRun": "api.server",
    "TokenSpec": "core.token_spec",
    "Tokens": "core.tokens",
    "TrainResult": "api.training",
    "assemble": "api.deprecated",
    "build": "api.models",
    "build_extractor": "api.catalog",
    "check": "api.models",
    "collate": "core.batch",
    "compare": "api.comparison",
    "convert": "api.conversion",
    "describe": "api.models",
    "describe_on_server": "api.server",
    "discover": "api.catalog",
    "doctor": "api.benchmark",
    "encode": "api.training",
    "encoder": "core.kinds",
    "environment": "api.machine",
    "export": "api.conversion",
    "export_prompts": "api.server",
    "extractor": "core.kinds",
    "from_pretrained": "api.models",
    "fuser": "core.kinds",
    "get_weights": "api.weights",
    "hookimpl": "registry.hooks",
    "list_plugins": "api.catalog",
    "list_weights": "api.weights",
    "llm": "core.kinds",
    "load": "api.models",
    "load_config": "api.deprecated",
    "make_plan": "api.deprecated",
    "model_card": "api.hub",
    "new_plugin": "api.catalog",
    "plan": "api.models",
    "predict": "api.benchmark",
    "push_to_hub": "api.hub",
    "read_examples": "api.data_sets",
    "read_samples": "api.data_sets",
    "save": "api.models",
    "save_pretrained": "api.hub",
    "schema": "api.catalog",
    "score": "api.scores",
    "score_benchmark": "api.scores",
    "stream": "api.models",
    "synth": "api.data_sets",
    "train": "api.training",
    "verify": "api.catalog",
    "write_model_card": "api.hub",
}
__all__ = ["__version__", *_MODULE_OF]

# `core` does not import `serving`: this package, which knows all of its folders, connects the two.
register_describer(lambda: import_module("affectgpt.serving.describe"))

if TYPE_CHECKING:
    from affectgpt.api.benchmark import DatasetHealth as DatasetHealth
    from affectgpt.api.benchmark import DoctorReport as DoctorReport
    from affectgpt.api.benchmark import PredictionFile as PredictionFile
    from affectgpt.api.benchmark import doctor as doctor
    from affectgpt.api.benchmark import predict as predict
    from affectgpt.api.catalog import CheckResult as CheckResult
    from affectgpt.api.catalog import build_extractor as build_extractor
    from affectgpt.api.catalog import discover as discover
    from affectgpt.api.catalog import list_plugins as list_plugins
    from affectgpt.api.catalog import new_plugin as new_plugin
    from affectgpt.api.catalog import schema as schema
    from affectgpt.api.catalog import verify as verify
    from affectgpt.api.comparison import Comparison as Comparison
    from affectgpt.api.comparison import compare as compare
    from affectgpt.api.conversion import ConversionReport as ConversionReport
    from affectgpt.api.conversion import convert as convert
    from affectgpt.api.conversion import export as export
    from affectgpt.api.data_sets import BrokenClip as BrokenClip
    from affectgpt.api.data_sets import Example as Example
    from affectgpt.api.data_sets import Sample as Sample
    from affectgpt.api.data_sets import read_examples as read_examples
    from affectgpt.api.data_sets import read_samples as read_samples
    from affectgpt.api.data_sets import synth as synth
    from affectgpt.api.deprecated import assemble as assemble
    from affectgpt.api.deprecated import load_config as load_config
    from affectgpt.api.deprecated import make_plan as make_plan
    from affectgpt.api.hub import model_card as model_card
    from affectgpt.api.hub import push_to_hub as push_to_hub
    from affectgpt.api.hub import save_pretrained as save_pretrained
    from affectgpt.api.hub import write_model_card as write_model_card
    from affectgpt.api.machine import Environment as Environment
    from affectgpt.api.machine import environment as environment
    from affectgpt.api.models import Description as Description
    from affectgpt.api.models import build as build
    from affectgpt.api.models import check as check
    from affectgpt.api.models import describe as describe
    from affectgpt.api.models import from_pretrained as from_pretrained
    from affectgpt.api.models import load as load
    from affectgpt.api.models import plan as plan
    from affectgpt.api.models import save as save
    from affectgpt.api.models import stream as stream
    from affectgpt.api.scores import BenchmarkScore as BenchmarkScore
    from affectgpt.api.scores import PairedTest as PairedTest
    from affectgpt.api.scores import Score as Score
    from affectgpt.api.scores import score as score
    from affectgpt.api.scores import score_benchmark as score_benchmark
    from affectgpt.api.server import ExportedPrompt as ExportedPrompt
    from affectgpt.api.server import ServedDescription as ServedDescription
    from affectgpt.api.server import ServerRun as ServerRun
    from affectgpt.api.server import describe_on_server as describe_on_server
    from affectgpt.api.server import export_prompts as export_prompts
    from affectgpt.api.training import Encoded as Encoded
    from affectgpt.api.training import TrainResult as TrainResult
    from affectgpt.api.training import encode as encode
    from affectgpt.api.training import train as train
    from affectgpt.api.weights import get_weights as get_weights
    from affectgpt.api.weights import list_weights as list_weights
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
    from affectgpt.core.kinds import encoder as encoder
    from affectgpt.core.kinds import extractor as extractor
    from affectgpt.core.kinds import fuser as fuser
    from affectgpt.core.kinds import llm as llm
    from affectgpt.core.pipeline import Pipeline as Pipeline
    from affectgpt.core.plan import Plan as Plan
    from affectgpt.core.plan import PlannedNode as PlannedNode
    from affectgpt.core.token_spec import TokenSpec as TokenSpec
    from affectgpt.core.tokens import MediaBatch as MediaBatch
    from affectgpt.core.tokens import Prepared as Prepared
    from affectgpt.core.tokens import Tokens as Tokens
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
