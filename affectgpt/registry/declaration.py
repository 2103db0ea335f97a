"""Calling the hooks by which a module declares plugins and kinds, so that a failure names the module."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import ValidationError

from affectgpt.registry.errors import PluginError
from affectgpt.registry.messages import one_line
from affectgpt.registry.spec import Origin


def call_declaration(module: ModuleType | type, hook: str, origin: Origin) -> list[Any]:
    """What the function `hook` of a module returns, as a list. Raises PluginError when it fails."""
    try:
        return list(getattr(module, hook)())
    except ValidationError as error:
        first = error.errors()[0]
        raise PluginError(
            f"module {module.__name__!r} declares a malformed plugin",
            where=str(origin),
            found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
        ) from error
    except PluginError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"{hook}() of {module.__name__!r} failed", where=str(origin), found=one_line(error)
        ) from error
