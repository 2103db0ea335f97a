"""Plan -> [Pipeline][]: every plugin's module is built from its config and the specs it was planned with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from affectgpt.core.node_modules import NodeModules
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan, PlannedNode
from affectgpt.registry.catalog import Catalog, summary_of
from affectgpt.registry.errors import AffectGPTError, PluginError


def assemble(plan: Plan, catalog: Catalog, on_node: Callable[[str], None] | None = None) -> Pipeline:
    """Build the modules of a plan; weights that are not read from files are drawn from the config's seed.

    `on_node` is told each node's name before it is built. Raises PluginError when a plugin fails, and
    whatever error a plugin raises on purpose (a missing model folder, for example).
    """
    torch.manual_seed(plan.config.seed)
    tell = on_node or (lambda name: None)
    encoders = NodeModules()
    for name, node in plan.encoders.items():
        tell(name)
        encoders[name] = _build(node, catalog, node.config, node.output)
        if node.config.frozen:
            encoders[name].requires_grad_(False)
    fusers = NodeModules()
    for name, node in plan.fusers.items():
        tell(name)
        fusers[name] = _build(node, catalog, node.config, dict(node.inputs), node.output)
    tell("llm")
    llm = _build(plan.llm, catalog, plan.llm.config, plan.llm.output)
    return Pipeline(plan, encoders, fusers, llm).eval()


def _build(node: PlannedNode, catalog: Catalog, *arguments: Any) -> nn.Module:
    target = catalog.target_class(node.entry)
    where = f"{node.name} ({node.entry.spec.kind} {node.entry.spec.name!r} from {node.entry.origin})"
    try:
        module = target(*arguments)
    except AffectGPTError:
        raise
    except ModuleNotFoundError as error:
        wanted = " ".join(repr(need) for need in node.entry.spec.requires) or repr(error.name)
        raise PluginError(
            "a plugin needs a package that is not installed", where=where, found=str(error),
            hint=f"pip install {wanted}",
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginError("a plugin failed while it was built", where=where, found=summary_of(error)) from error
    if not isinstance(module, nn.Module):
        raise PluginError("a plugin's target must be an nn.Module", where=where, found=type(module).__name__)
    return module
