"""Check that a folder is a complete saved model without building its encoders or its language model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from affectgpt.core.assembly import build_module
from affectgpt.core.plan import Plan, make_plan
from affectgpt.core.saved.config import ADAPTER, ADAPTER_WEIGHTS, CONFIG, PLUGINS, WEIGHTS, load_saved_config
from affectgpt.core.saved.tensors import error_unreadable
from affectgpt.files.json_object import read_json_object
from affectgpt.hub.headers import Header, read_header
from affectgpt.hub.names import files_in
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import CheckpointError, Problem
from affectgpt.registry.messages import first_and_more

_MOST_NAMES = 8


def check_saved(folder: Path, catalog: Catalog) -> Plan:
    """Check the saved model in `folder`. Returns its plan.

    The tensors of fusers and projectors are compared with those of the modules that the config describes, by name,
    shape and dtype. Encoders and the language model are not built: they must have tensors where the config trains
    them or initializes them at random, and none elsewhere. Every stored number must be finite.

    Raises CheckpointError when the folder is not a saved model or is damaged, ConfigError when its config is wrong or
    needs a plugin that is not in `catalog`.
    """
    for name in (CONFIG, WEIGHTS, PLUGINS):
        if not (folder / name).is_file():
            raise CheckpointError(
                "this is not a saved model",
                where=str(folder),
                found=f"no {name}",
                expected=f"a folder with {CONFIG}, {WEIGHTS} and {PLUGINS}",
            )
    _check_no_links(folder)
    config = load_saved_config(folder, catalog)
    plan = make_plan(config)
    header = read_header(folder / WEIGHTS)
    problems = [
        *_tensor_problems(plan, header, catalog, str(folder / WEIGHTS)),
        *_adapter_problems(plan, folder),
        *_missing_assets(config.model_dump(mode="json"), folder),
    ]
    if problems:
        raise CheckpointError.from_problems(problems)
    for path in (folder / WEIGHTS, folder / ADAPTER / ADAPTER_WEIGHTS):
        if path.is_file():
            _check_finite(path)
    return plan


def _check_no_links(folder: Path) -> None:
    links = [path for path in sorted(folder.rglob("*")) if path.is_symlink()]
    if links:
        raise CheckpointError(
            "this saved model holds links to other places",
            where=str(folder),
            found=", ".join(str(path.relative_to(folder)) for path in links[:_MOST_NAMES]),
            expected="the files themselves",
            hint="copy the folder with `cp -rL`",
        )


def _missing_assets(values: Any, folder: Path) -> Iterator[Problem]:
    """The paths of the config that are inside `folder` (such as `./tokenizer`, resolved) but are not uploaded."""
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _missing_assets(value, folder)
    elif isinstance(values, str) and values.startswith(f"{folder.resolve()}{os.sep}"):
        name = Path(values).relative_to(folder.resolve()).as_posix()
        if not any(value == name or value.startswith(f"{name}/") for value in files_in(folder)):
            yield Problem(
                "the config names a part of the saved model that is not there",
                str(folder / CONFIG),
                f"./{name}",
                "a file of the format, or a folder of such files",
            )


def _tensor_problems(plan: Plan, header: Header, catalog: Catalog, where: str) -> Iterator[Problem]:
    expected = _built_tensors(plan, catalog)
    built = ("fusers.", "projectors.")
    stored = {name: shape for name, (shape, _) in header.items() if name.startswith(built)}
    yield from _problem_naming("tensors are missing", sorted(expected.keys() - stored.keys()), where)
    parts = {f"encoders.{name}.": node for name, node in plan.encoders.items()} | {"llm.": plan.llm}
    strange = [name for name in header if name not in expected and not name.startswith(tuple(parts))]
    yield from _problem_naming("tensors do not belong to this pipeline", sorted(strange), where)
    for name in sorted(expected.keys() & stored.keys()):
        if stored[name] != expected[name]:
            yield Problem(f"{name} has the wrong form", where, str(list(stored[name])), str(list(expected[name])))
    for prefix, node in parts.items():
        part_tensors = sorted(name for name in header if name.startswith(prefix))
        frozen = getattr(node.config, "frozen", None)
        if part_tensors and frozen and getattr(node.config, "init", None) == "pretrained":
            yield from _problem_naming(
                f"tensors of {prefix[:-1]}, which is read from a model folder and frozen", part_tensors, where
            )
        if not part_tensors and frozen is False and node.parameters != 0:
            yield Problem(f"no tensor of {prefix[:-1]} is stored, which the config trains", where)


def _built_tensors(plan: Plan, catalog: Catalog) -> dict[str, tuple[int, ...]]:
    # Random initialization must not change the state of the caller's generator.
    with torch.random.fork_rng(devices=[]):
        modules: dict[str, nn.Module] = {
            f"fusers.{name}": build_module(node, node.config, dict(node.inputs), node.output)
            for name, node in plan.fusers.items()
        }
        for name in plan.projected:
            modules[f"projectors.{name}"] = nn.Linear(plan.output(name).dim, plan.llm.output.dim, device="meta")
    return {
        f"{node_name}.{key}": tuple(tensor.shape)
        for node_name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def _adapter_problems(plan: Plan, folder: Path) -> Iterator[Problem]:
    lora: Any = getattr(plan.llm.config, "lora", None)
    adapter = folder / ADAPTER
    if lora is None:
        if adapter.exists():
            yield Problem(
                "there is an adapter, but the config has no lora", str(adapter), hint=f"was {CONFIG} changed?"
            )
        return
    settings = _settings(adapter / "adapter_config.json")
    if settings.get("r") != lora.r or settings.get("lora_alpha") != lora.alpha:
        yield Problem(
            "the adapter was made with other settings",
            str(adapter / "adapter_config.json"),
            f"r {settings.get('r')}, lora_alpha {settings.get('lora_alpha')}",
            f"r {lora.r}, lora_alpha {lora.alpha}",
        )
    header = read_header(adapter / ADAPTER_WEIGHTS)
    where = str(adapter / ADAPTER_WEIGHTS)
    sides = {".lora_A.": 0, ".lora_B.": -1}
    ranks = {
        name: shape[place_of]
        for name, (shape, _) in header.items()
        for side, place_of in sides.items()
        if side in name and shape
    }
    yield from _problem_naming(
        "tensors of another rank than the config's", [n for n, r in ranks.items() if r != lora.r], where
    )
    pairs = {name.replace(".lora_A.", ".lora_B.") for name in header if ".lora_A." in name}
    yield from _problem_naming(
        "tensors without their other half", sorted(pairs ^ {n for n in header if ".lora_B." in n}), where
    )
    without = [target for target in lora.targets if not any(f".{target}." in name for name in header)]
    yield from _problem_naming("modules without an adapter", without, where)


def _settings(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except (OSError, ValueError) as error:
        raise CheckpointError("the adapter's settings cannot be read", where=str(path), found=str(error)) from error


def _check_finite(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            wrong = [
                name
                for name in file.keys()  # noqa: SIM118 - not a dict
                if (tensor := file.get_tensor(name)).is_floating_point() and not bool(torch.isfinite(tensor).all())
            ]
    except (SafetensorError, OSError, ValueError) as error:
        raise error_unreadable(path, error) from error
    if wrong:
        raise CheckpointError.from_problems(
            list(_problem_naming("tensors hold values that are not finite", wrong, str(path)))
        )


def _problem_naming(what: str, names: list[str], where: str) -> Iterator[Problem]:
    if names:
        yield Problem(f"{len(names)} {what}", where, first_and_more(names, _MOST_NAMES))
