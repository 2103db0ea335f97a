"""The public functions, one module per subject. Each module imports what it needs when a function is called.

`affectgpt` exports every name of this package. Importing it costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

_MODULE_OF = {
    "BenchmarkScore": "scores",
    "BrokenClip": "data_sets",
    "CheckResult": "catalog",
    "Comparison": "comparison",
    "ConversionReport": "conversion",
    "DatasetHealth": "benchmark",
    "Demo": "demonstration",
    "Description": "models",
    "DoctorReport": "benchmark",
    "Encoded": "training",
    "Environment": "machine",
    "Example": "data_sets",
    "ExportedPrompt": "server",
    "PairedTest": "scores",
    "PredictionFile": "benchmark",
    "Sample": "data_sets",
    "Score": "scores",
    "ServedDescription": "server",
    "ServerRun": "server",
    "TrainResult": "training",
    "add_plugins": "resolve",
    "assemble": "deprecated",
    "build": "models",
    "build_extractor": "catalog",
    "catalog_facts": "listing",
    "check": "models",
    "compare": "comparison",
    "convert": "conversion",
    "describe": "models",
    "describe_files": "describe_run",
    "describe_on_server": "server",
    "discover": "catalog",
    "doctor": "benchmark",
    "encode": "training",
    "environment": "machine",
    "export": "conversion",
    "export_prompts": "server",
    "find_media_files": "describe_run",
    "find_plugin": "catalog",
    "find_plugins": "catalog",
    "from_pretrained": "models",
    "list_plugins": "catalog",
    "get_weights": "weights",
    "list_weights": "weights",
    "load": "models",
    "load_config": "deprecated",
    "make_plan": "deprecated",
    "model_card": "hub",
    "new_plugin": "catalog",
    "parse_options": "option_texts",
    "plan": "models",
    "plugin_facts": "listing",
    "predict": "benchmark",
    "push_to_hub": "hub",
    "read_examples": "data_sets",
    "read_samples": "data_sets",
    "run_demo": "demonstration",
    "save": "models",
    "save_pretrained": "hub",
    "schema": "catalog",
    "score": "scores",
    "score_benchmark": "scores",
    "stream": "models",
    "synth": "data_sets",
    "train": "training",
    "unibench": "benchmark",
    "verify": "catalog",
    "verify_each": "catalog",
    "write_model_card": "hub",
}
__all__ = [*_MODULE_OF]

if TYPE_CHECKING:
    from affectgpt.api.benchmark import DatasetHealth as DatasetHealth
    from affectgpt.api.benchmark import DoctorReport as DoctorReport
    from affectgpt.api.benchmark import PredictionFile as PredictionFile
    from affectgpt.api.benchmark import doctor as doctor
    from affectgpt.api.benchmark import predict as predict
    from affectgpt.api.benchmark import unibench as unibench
    from affectgpt.api.catalog import CheckResult as CheckResult
    from affectgpt.api.catalog import build_extractor as build_extractor
    from affectgpt.api.catalog import discover as discover
    from affectgpt.api.catalog import find_plugin as find_plugin
    from affectgpt.api.catalog import find_plugins as find_plugins
    from affectgpt.api.catalog import list_plugins as list_plugins
    from affectgpt.api.catalog import new_plugin as new_plugin
    from affectgpt.api.catalog import schema as schema
    from affectgpt.api.catalog import verify as verify
    from affectgpt.api.catalog import verify_each as verify_each
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
    from affectgpt.api.demonstration import Demo as Demo
    from affectgpt.api.demonstration import run_demo as run_demo
    from affectgpt.api.deprecated import assemble as assemble
    from affectgpt.api.deprecated import load_config as load_config
    from affectgpt.api.deprecated import make_plan as make_plan
    from affectgpt.api.describe_run import describe_files as describe_files
    from affectgpt.api.describe_run import find_media_files as find_media_files
    from affectgpt.api.hub import model_card as model_card
    from affectgpt.api.hub import push_to_hub as push_to_hub
    from affectgpt.api.hub import save_pretrained as save_pretrained
    from affectgpt.api.hub import write_model_card as write_model_card
    from affectgpt.api.listing import catalog_facts as catalog_facts
    from affectgpt.api.listing import plugin_facts as plugin_facts
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
    from affectgpt.api.option_texts import parse_options as parse_options
    from affectgpt.api.resolve import add_plugins as add_plugins
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
else:

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
