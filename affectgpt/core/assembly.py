"""Plan -> [Pipeline][]: every plugin's module is built from its config and the specs it was planned with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from affectgpt.core.former_forms import accepts_catalog
from affectgpt.core.node_modules import NodeModules
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, PlannedNode
from affectgpt.registry.errors import AffectGPTError, PluginError
from affectgpt.registry.plugin_code import remember_sources


@accepts_catalog
def assemble(
    plan: Plan, on_node: Callable[[str], None] | None = None, *, skip_encoders: Collection[str] = ()
) -> Pipeline:
    """Build the modules of a plan, in evaluation mode; random weights are drawn from the config's seed.

    `on_node` is called with each node's name before it is built. The encoders in `skip_encoders` are not built: such a
    pipeline reads clips that are encoded already. Raises PluginError when a plugin fails, and the errors that a plugin
    raises on purpose (a missing model folder, for example).
    """
    report = on_node or (lambda name: None)
    encoders = build_encoders(plan, on_node, skip_encoders=skip_encoders)
    fusers = NodeModules()
    for name, node in plan.fusers.items():
        report(name)
        with _settings_located(plan, ("fusers", name)):
            fusers[name] = build_module(node, node.config, dict(node.inputs), node.output)
    report("llm")
    with _settings_located(plan, ("llm",)):
        llm = build_module(plan.llm, plan.llm.config, plan.llm.output)
    return Pipeline(plan, encoders, fusers, llm).eval()


def build_encoders(
    plan: Plan, on_node: Callable[[str], None] | None = None, *, skip_encoders: Collection[str] = ()
) -> NodeModules:
    """The encoders of a plan but for those in `skip_encoders`; random weights are drawn from the config's seed.

    What is drawn afterwards is the same whether an encoder with weights from a model folder was built or not.
    """
    torch.manual_seed(plan.config.seed)
    encoders = NodeModules()
    for name, node in plan.encoders.items():
        if name in skip_encoders:
            continue
        if on_node:
            on_node(name)
        before = torch.get_rng_state()
        with _settings_located(plan, ("encoders", name)):
            encoders[name] = build_module(node, node.config, node.output)
        if not node.entry.is_built_in():
            remember_sources(type(encoders[name]), type(node.config))
        if getattr(encoders[name], "pretrained", False):
            # The weights that it drew were overwritten by the folder's.
            torch.set_rng_state(before)
        if node.config.frozen:
            encoders[name].requires_grad_(False)
    return encoders


@contextmanager
def _settings_located(plan: Plan, path: tuple[str, ...]) -> Iterator[None]:
    """Give errors about a setting of the node at `path` the line of that setting."""
    try:
        yield
    except AffectGPTError as error:
        problems = [
            replace(problem, where=plan.config.location((*path, *problem.path)), path=()) if problem.path else problem
            for problem in error.problems
        ]
        raise type(error).from_problems(problems) from error


def build_module(node: PlannedNode[Any], *arguments: Any) -> nn.Module:
    """The module of one node. Raises PluginError when the plugin fails or its target is no module."""
    module = node.entry.build(*arguments, node=node.name)
    if not isinstance(module, nn.Module):
        raise PluginError(
            "a plugin's target must be an nn.Module",
            where=node.entry.location(node.name),
            found=type(module).__name__,
        )
    return module
