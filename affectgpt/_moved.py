"""Module paths and names of earlier releases: each works with a DeprecationWarning that names the new one.

A finder in `sys.meta_path` answers for the paths of this table and no others. A path stays in the table for one minor
release.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_PACKAGE = __name__.partition(".")[0]

# Old path -> new path, both without "affectgpt.". A moved package stands for its modules too.
MODULES = {
    "bundled.make": "demo.make",
    "core.answering": "core.batched_answers",
    "core.beginning": "core.saved.initial",
    "core.card_mark": "core.saved.extras",
    "core.checkpoint": "core.saved.model",
    "core.extras": "core.saved.extras",
    "core.place": "core.saved.destination",
    "core.stored_tensors": "core.saved.tensors",
    "data.clip_list": "data.datasets",
    "data.clips": "data.samples",
    "data.decoding": "data.decode_check",
    "data.doctor": "unibench.datasets.doctor",
    "data.feature_cache.encoders": "data.feature_cache.fixed_encoders",
    "data.feature_cache.files": "data.feature_cache.file_hashes",
    "data.feature_cache.reading": "data.feature_cache.reader",
    "data.feature_cache.writing": "data.feature_cache.writer",
    "data.file_hash": "files.hashing",
    "data.files_by_name": "data.clip_files",
    "data.locks": "files.locks",
    "data.npz": "files.npz",
    "data.opened_files": "serving.opened_files",
    "data.plain_values": "files.pickled_values",
    "data.processes": "workers.pool",
    "data.read_ahead": "workers.prefetch",
    "data.reading_processes": "workers.parent",
    "data.restricted_pickle": "files.restricted_pickle",
    "data.row_file": "files.row_file",
    "data.showing": "registry.messages",
    "data.stated_array": "files.pickled_arrays",
    "data.synthetic": "synthetic",
    "data.table": "data.csv_table",
    "data.unibench": "unibench.datasets",
    "data.unibench.labels": "unibench.datasets.true_labels",
    "data.unibench.layouts": "unibench.datasets.layouts",
    "data.unibench.reading": "unibench.datasets.reader",
    "data.whole_file": "files.atomic",
    "kernels.absorbed_cross_modal_attention": "kernels.absorbed_cross_modal",
    "kernels.cross_modal_attention": "kernels.cross_modal",
    "lexicon.finding": "lexicon.tokens",
    "media.western": "media.encoding_guess",
    "plugins.encoders.audio_configs": "plugins.encoders.speech_config",
    "plugins.encoders.real_rows": "plugins.encoders.unpadded",
    "plugins.encoders.vision_configs": "plugins.encoders.clip_vision_config",
    "plugins.llms.configs": "plugins.llms.causal_lm_config",
    "released.account": "released.report",
    "released.back": "released.export",
    "released.beside": "released.sidecar",
    "released.check": "released.tensor_check",
    "released.expressible": "released.export_check",
    "released.facts": "released.checkpoint_config",
    "released.frozen": "released.frozen_check",
    "released.names": "released.tensor_names",
    "released.pipeline_tree": "released.pipeline_file",
    "serving.client": "serving.vllm_client",
    "serving.describing": "serving.vllm_describe",
    "training.finished": "training.result",
    "training.interruption": "training.stop_signals",
    "training.log": "training.run_log",
    "training.order": "training.batch_order",
    "training.reading": "training.sample_source",
    "training.recording": "training.recorder",
    "training.sameness": "training.run_settings",
    "training.saving": "training.checkpoints",
    "training.steps": "training.stepper",
    "unibench.generation": "unibench.predictions",
    "unibench.labels": "unibench.label_text",
    "unibench.read_out": "unibench.label_extraction",
    "unibench.records": "unibench.record_files",
    "unibench.value_files": "unibench.clip_values",
    "unibench.wheels.choose": "unibench.wheels.load",
    "unibench.wheels.placing": "unibench.wheels.sector_lookup",
}

# Old folders whose names are now those of functions in the same package.
FUNCTIONS = frozenset({"kernels.absorbed_cross_modal_attention", "kernels.cross_modal_attention"})

# Where an old name was found -> old name -> "new.module:new name", for names that went elsewhere or were renamed.
NAMES: dict[str, dict[str, str]] = {
    "data.clip_list": {"read_clip_list": "data.datasets:read_examples"},
    "serving.client": {"Server": "serving.vllm_client:VllmServer"},
    "serving.prompt_embeds": {"prompted": "serving.prompt_embeds:prompts_of_files"},
    "plugins.encoders.vision_configs": {
        "OpenClipVisionConfig": "plugins.encoders.open_clip_vision_config:OpenClipVisionConfig",
        "TimmVisionConfig": "plugins.encoders.timm_vision_config:TimmVisionConfig",
    },
}


def find_new_path(name: str) -> str | None:
    """The new path of the module `name`, both with "affectgpt.". None: it was not moved."""
    package, _, old = name.partition(".")
    if package != _PACKAGE:
        return None
    if old in MODULES:
        return f"{_PACKAGE}.{MODULES[old]}"
    parent, _, last = old.rpartition(".")
    return f"{_PACKAGE}.{MODULES[parent]}.{last}" if parent in MODULES else None


def old_names(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that stayed and whose names changed."""

    def find_name(name: str) -> Any:
        new = NAMES.get(module.partition(".")[2], {}).get(name)
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        path, _, attribute = new.partition(":")
        _warn(f"{module}.{name}", f"{_PACKAGE}.{path}.{attribute}", stacklevel=3)
        return getattr(import_module(f"{_PACKAGE}.{path}"), attribute)

    return find_name


def _warn(old: str, new: str, stacklevel: int) -> None:
    # Frames of importlib do not count, so the warning points at the import statement.
    warnings.warn(f"{old}: use {new}; goes in 0.3", DeprecationWarning, stacklevel=stacklevel + 1)


class _ForwardingModule(ModuleType):
    """Has the names of the module at the new path, and old names of them."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.partition(".")[2]
        path, _, attribute = NAMES.get(old, {}).get(name, "").partition(":")
        module = import_module(f"{_PACKAGE}.{path}" if path else str(find_new_path(self.__name__)))
        return getattr(module, attribute or name)


class _OldFolder(_ForwardingModule):
    """The forwarding module of an old folder whose name is now that of a function; it warns when it is used."""

    def __getattr__(self, name: str) -> Any:
        # Tools look up `__file__` and the like in every module; that is no use.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _warn(self.__name__, str(find_new_path(self.__name__)), stacklevel=2)
        return super().__getattr__(name)


def add_old_folders(package: str) -> None:
    """Make the old folders in `package` that are in FUNCTIONS importable; `package` calls it while it is imported.

    Importing a module binds it in its package, in the place of the function of this name. A module that is already in
    `sys.modules` is not imported, so it is not bound.
    """
    for name in FUNCTIONS:
        path = f"{_PACKAGE}.{name}"
        if path.rpartition(".")[0] == package:
            module = _OldFolder(path)
            module.__spec__ = ModuleSpec(path, None, is_package=True)
            module.__path__ = []
            sys.modules[path] = module


class _Loader:
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _ForwardingModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = str(find_new_path(old))
        _warn(old, new, stacklevel=2)
        moved = import_module(new)
        if old.partition(".")[2] not in NAMES:
            # The import system returns this entry: the moved module itself, so that its names can be replaced.
            sys.modules[old] = moved


class _Finder:
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        new = find_new_path(name)
        spec = find_spec(new) if new else None
        if spec is None:
            return None
        # An empty search path: modules of a moved package are looked for here and nowhere else.
        return ModuleSpec(name, _Loader(), is_package=spec.submodule_search_locations is not None)  # type: ignore[arg-type]


def install() -> None:
    """Let old paths be imported in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # First: an old folder with a forgotten __pycache__ would be found as a namespace package.
        sys.meta_path.insert(0, _Finder())
