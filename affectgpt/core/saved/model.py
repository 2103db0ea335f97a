"""A saved model: a folder with the resolved config, the tensors that no model folder holds, and the tokenizer.

    pipeline.yaml       the config, resolved
    model.safetensors   every tensor that was trained or drawn at random
    adapter/            LoRA, in PEFT's own format
    plugins.json        name, origin and version of every plugin used
    tokenizer/          the LLM's tokenizer
    README.md           (optional) the model card
    released/           (optional) what a converted checkpoint holds beside the pipeline

Loading is strict: a missing, unexpected or misshapen tensor is named, none is skipped. No pickle is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from affectgpt.core.assembly import assemble
from affectgpt.core.config import PipelineConfig
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.config import ADAPTER, ADAPTER_WEIGHTS, CONFIG, PLUGINS, WEIGHTS, load_saved_config
from affectgpt.core.saved.destination import error_unwritable
from affectgpt.core.saved.extras import EXTRAS, check_extras, copy_extras
from affectgpt.core.saved.sizes import check_sizes
from affectgpt.core.saved.tensors import check_tensors, copy_into, read_shapes, read_tensors
from affectgpt.files.json_object import read_json_object
from affectgpt.files.unfinished import unfinished
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, ConfigError, Problem, RunError
from affectgpt.registry.messages import reason, short_repr

# What PEFT writes of the making of an adapter: another value changes nothing that it computes.
_NO_EFFECT = {
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
}
_FLOATS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def tensors_to_save(pipeline: Pipeline) -> dict[str, Tensor]:
    """The tensors that a saved model must hold: all but those read from a model folder and left frozen.

    Adapter tensors are not among them; they are saved beside, in PEFT's format.
    """
    state = pipeline.state_dict()
    parameters = dict(pipeline.named_parameters())
    foreign = [f"encoders.{name}." for name, encoder in pipeline.encoders.items() if encoder.pretrained]
    foreign += ["llm."] if pipeline.llm.pretrained else []
    tensors = {}
    for name, tensor in state.items():
        trained = name in parameters and parameters[name].requires_grad
        buffer_of_trained = name not in parameters and _has_trained_sibling(name, parameters)
        if not _is_adapter(pipeline, name) and (trained or buffer_of_trained or not name.startswith(tuple(foreign))):
            tensors[name] = tensor
    return tensors


def untrained_tensors(pipeline: Pipeline) -> dict[str, Tensor]:
    """Those of [tensors_to_save][] that training leaves as they are: frozen, and in no model folder."""
    # A tied parameter has several names.
    parameters = dict(pipeline.named_parameters(remove_duplicate=False))
    return {
        name: tensor
        for name, tensor in tensors_to_save(pipeline).items()
        if not (parameters[name].requires_grad if name in parameters else _has_trained_sibling(name, parameters))
    }


def _is_adapter(pipeline: Pipeline, name: str) -> bool:
    return pipeline.llm.adapter() is not None and name.startswith("llm.") and ".lora_" in name


def _has_trained_sibling(name: str, parameters: Mapping[str, Any]) -> bool:
    prefix = name.rpartition(".")[0] + "."
    return any(each.startswith(prefix) and parameter.requires_grad for each, parameter in parameters.items())


def save(
    pipeline: Pipeline,
    folder: str | Path,
    *,
    dtype: str = "float32",
    write_extras: Callable[[Path], None] | None = None,
) -> None:
    """Write `pipeline` to `folder`, whole or not at all; `dtype` is that of the stored float tensors.

    `write_extras` is called with the new folder, to write some of `EXTRAS` into it. An existing saved model is
    replaced; of its extras those stay that `write_extras` did not write, but for a card that was generated. Raises
    CheckpointError when the folder holds anything else or cannot be made, and RunError when a tensor holds a value that
    is not finite, in `dtype`, or the disk refuses.
    """
    folder = Path(os.path.realpath(folder))
    tensors = _copy_to_cpu(pipeline, _FLOATS[dtype])
    with ExitStack() as stack:
        try:
            _check_folder(folder)
            new_folder = stack.enter_context(unfinished(folder))
            new_folder.mkdir()
        except OSError as error:
            raise error_unwritable(folder, error) from error
        try:
            _write(pipeline, new_folder, tensors)
            if write_extras is not None:
                write_extras(new_folder)
            copy_extras(folder, new_folder)
            for path in (new_folder, *new_folder.rglob("*")):
                # safetensors lets nobody else read what it makes.
                path.chmod(0o755 if path.is_dir() else 0o644)
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            stack.close()
        except (OSError, SafetensorError) as error:
            raise RunError(
                "the model cannot be saved",
                where=str(folder),
                found=reason(error),
                hint="is the disk full? What was there before is as it was",
            ) from error


def _check_folder(folder: Path) -> None:
    contents = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    names = {CONFIG, WEIGHTS, PLUGINS, ADAPTER, "tokenizer", *EXTRAS}
    is_model = contents is not None and {CONFIG, WEIGHTS} <= contents <= names
    if folder.exists() and contents != set() and not is_model:
        raise CheckpointError(
            "there is something else at this place",
            where=str(folder),
            expected="a new folder or a saved model",
            hint="choose another folder",
        )
    check_extras(folder)


def _copy_to_cpu(pipeline: Pipeline, dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous().clone()
        for name, tensor in tensors_to_save(pipeline).items()
    }
    adapters = {name: tensor for name, tensor in pipeline.state_dict().items() if _is_adapter(pipeline, name)}
    wrong = [name for name, tensor in (tensors | adapters).items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise RunError(
            f"{len(wrong)} tensors hold values that are not finite: the model is not saved",
            found=", ".join(wrong[:8]) + (f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""),
            hint="train with a lower training.lr" if dtype == torch.float32 else "save as float32",
        )
    return tensors


def _write(pipeline: Pipeline, folder: Path, tensors: dict[str, Tensor]) -> None:
    plan = pipeline.plan
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    if pipeline.llm.adapter() is not None:
        pipeline.llm.adapter().save_pretrained(str(folder / ADAPTER), safe_serialization=True)
        # peft's card is an empty form that names a path of this machine.
        (folder / ADAPTER / "README.md").unlink(missing_ok=True)
    config = plan.config.model_dump(mode="json")
    # A saved model never names code to run: plugins.json says which plugins it needs.
    config.pop("plugins")
    config["llm"].update(pipeline.llm.save_assets(folder))
    (folder / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    used = {
        name: {
            "kind": node.entry.spec.kind,
            "plugin": node.entry.spec.name,
            "from": Path(node.entry.origin.source).name,
            "version": node.entry.origin.version,
        }
        for name, node in {**plan.encoders, **plan.fusers, "llm": plan.llm}.items()
    }
    (folder / PLUGINS).write_text(json.dumps(used, indent=1) + "\n", encoding="utf-8")


def load(
    folder: str | Path, catalog: Catalog, on_node: Callable[[str], None] | None = None, *, allow_pickle: bool = False
) -> Pipeline:
    """Read a saved model. Nothing in the folder is executed: plugins that it needs must be in `catalog`.

    A config that lets an encoder read a pickle is refused unless `allow_pickle` (it is then read with
    `weights_only=True`). Raises CheckpointError when a file is missing or damaged or the tensors do not fit the
    config, and ConfigError when `pipeline.yaml` is wrong or needs a plugin that is not there.
    """
    folder = Path(folder)
    plan, tensors = read_saved(folder, catalog, allow_pickle=allow_pickle)
    pipeline = assemble(plan, on_node)
    copy_into(tensors_to_save(pipeline), tensors, str(folder / WEIGHTS))
    load_adapter(pipeline, folder)
    return pipeline.eval()


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """The tensors of a saved model's adapter; none when it has none. Raises CheckpointError as [load][]."""
    path = folder / ADAPTER / ADAPTER_WEIGHTS
    return read_tensors(path) if path.is_file() else {}


def all_saved_tensors(pipeline: Pipeline) -> dict[str, Tensor]:
    """What a saved `pipeline` has in `model.safetensors` and as [read_adapter][], in the pipeline's own dtypes."""
    from peft import get_peft_model_state_dict

    adapter = pipeline.llm.adapter()
    return {**tensors_to_save(pipeline), **(get_peft_model_state_dict(adapter) if adapter is not None else {})}


def load_adapter(pipeline: Pipeline, folder: Path) -> None:
    """Give `pipeline` the adapter of a saved model. Raises CheckpointError unless it fits, or both have none."""
    if pipeline.llm.adapter() is not None:
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        _check_lora(pipeline, folder / ADAPTER / "adapter_config.json")
        stored = read_tensors(folder / ADAPTER / ADAPTER_WEIGHTS)
        check_tensors(get_peft_model_state_dict(pipeline.llm.adapter()), stored, str(folder / ADAPTER))
        set_peft_model_state_dict(pipeline.llm.adapter(), stored)
    elif (folder / ADAPTER).exists():
        raise CheckpointError(
            "there is an adapter, but the config has no lora",
            where=str(folder / ADAPTER),
            hint=f"an adapter stays with its model: leave llm.lora as it is in its {CONFIG}",
        )


def read_saved(
    folder: Path, catalog: Catalog, changes: Sequence[str] = (), *, allow_pickle: bool = False
) -> tuple[Plan, dict[str, Tensor]]:
    """The plan of a saved model and the tensors of its `model.safetensors`; no module is built.

    `changes` are to its config, as in [read_config][]. Raises as [load][].
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                "this is not a saved model",
                where=str(folder),
                found=f"no {name}",
                expected=f"a folder with {CONFIG} and {WEIGHTS}",
            )
    config = load_saved_config(folder, catalog, changes)
    if not allow_pickle:
        _check_pickles(config)
    plan = make_plan(config)
    shapes = read_shapes(folder / WEIGHTS)
    adapter = folder / ADAPTER / ADAPTER_WEIGHTS
    shapes |= {f"llm.{name}": shape for name, shape in read_shapes(adapter).items()} if adapter.is_file() else {}
    # With changes, parts that the model lacks have the sizes that the caller asks for: its own are judged without them.
    own_plan = _plan_without_changes(folder, catalog) if changes else plan
    if own_plan is not None:
        check_sizes(own_plan, shapes, folder / WEIGHTS)
    return plan, read_tensors(folder / WEIGHTS)


def _plan_without_changes(folder: Path, catalog: Catalog) -> Plan | None:
    """None where only the changes make a plan of it, such as another place of a model folder."""
    try:
        return make_plan(load_saved_config(folder, catalog))
    except ConfigError:
        return None


def _check_pickles(config: PipelineConfig) -> None:
    problems = [
        Problem(
            "this model's config reads weights from a pickle",
            config.location(("encoders", name, "allow_pickle")),
            hint="if you trust the folder that it names, pass allow_pickle=True",
        )
        for name, node in config.encoders.items()
        if getattr(node.config, "allow_pickle", False)
    ]
    if problems:
        raise ConfigError.from_problems(problems)


def _check_lora(pipeline: Pipeline, path: Path) -> None:
    """The adapter's own settings must be those of the pipeline: another alpha would scale it without a word."""
    try:
        stored = read_json_object(path)
    except (OSError, ValueError) as error:
        raise CheckpointError("the adapter's settings cannot be read", where=str(path), found=reason(error)) from error
    peft = json.loads(json.dumps(pipeline.llm.adapter().peft_config["default"].to_dict(), default=sorted))
    for key in sorted(stored.keys() - _NO_EFFECT):
        if _in_one_form(stored[key]) != _in_one_form(peft.get(key)):
            raise CheckpointError(
                f"the adapter was made with another {key}",
                where=str(path),
                found=short_repr(stored[key]),
                expected=short_repr(peft[key]) if key in peft else "a setting that this version of PEFT has",
                hint="an adapter keeps its settings: leave llm.lora as it is",
            )
    for key in ("r", "lora_alpha", "target_modules"):
        if key not in stored:
            raise CheckpointError("the adapter's settings are not whole", where=str(path), found=f"no {key}")


def _in_one_form(value: Any) -> Any:
    """A value of a PEFT config; nothing, as "no layers", is written as null, false or an empty list."""
    if isinstance(value, list):
        value = sorted(value, key=repr)
    return value or None
