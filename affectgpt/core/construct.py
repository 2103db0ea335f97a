"""Calling a plugin's target, so that whatever fails in it is said in the name of the plugin. No torch."""

from __future__ import annotations

from typing import Any

from affectgpt.registry.catalog import Catalog, Entry, summary_of
from affectgpt.registry.errors import AffectGPTError, PluginError


def construct(entry: Entry, catalog: Catalog, *arguments: Any, node: str = "") -> Any:
    """What the plugin's target gives for `arguments`; `node` is its name in the pipeline, for messages.

    Raises PluginError when the target fails or lacks a package, and whatever error it raises on purpose.
    """
    target = catalog.target_class(entry)
    where = plugin_place(entry, node)
    try:
        return target(*arguments)
    except AffectGPTError:
        raise
    except ModuleNotFoundError as error:
        wanted = " ".join(repr(need) for need in entry.spec.requires) or repr(error.name)
        raise PluginError(
            "a plugin needs a package that is not installed",
            where=where,
            found=str(error),
            hint=f"pip install {wanted}",
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginError("a plugin failed while it was built", where=where, found=summary_of(error)) from error


def plugin_place(entry: Entry, node: str = "") -> str:
    """The `where` of messages about a plugin."""
    text = f"{entry.spec.kind} {entry.spec.name!r} from {entry.origin}"
    return f"{node} ({text})" if node else text
