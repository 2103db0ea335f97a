"""A kind of plugin, as data: the base of its configs, its checks, its template and its words.

A module that brings a kind returns its [PluginKind][] from the hook `affectgpt_kinds`. All parts are import strings,
`"package.module:name"`, so that a kind costs nothing until one of its plugins is used.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

from affectgpt.registry.errors import PluginError

IMPORT_STRING = r"^[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*$"
KIND_NAME = r"^[a-z][a-z0-9-]*$"


@dataclass(frozen=True)
class PackageTemplate:
    """How `affectgpt new KIND NAME` writes a package.

    - `folder`: `"package:folder"`, a folder of `config.py.template` and `module.py.template` inside a package.
    - `suffix`: the end of the class's name ("Fuser"). `summary`: what the plugin of the template does.
    - `contract`: the name of the class in `affectgpt.testing`, or an import string, that the package's test derives
      from.
    - `config_role` and `module_role`: what the two files hold, for the package's README.
    """

    folder: str
    suffix: str
    summary: str
    contract: str
    config_role: str
    module_role: str


@dataclass(frozen=True)
class PluginKind:
    """One kind of plugin.

    - `name`: as in `PluginSpec.kind`. `title`: with its article, for messages ("an encoder").
    - `config`: import string of the class that the config of every plugin of the kind derives from.
    - `interface`: import string of a function, config class -> what a plugin reads and gives, in a line.
    - `checks`: import string of the [KindChecks][affectgpt.testing.kind_checks.KindChecks] that `verify` runs.
    - `template`: how a package for a new plugin of the kind is written.

    All but `name` and `config` may be left out. Raises PluginError for a malformed name or import string.
    """

    name: str
    config: str
    title: str = ""
    interface: str = ""
    checks: str = ""
    template: PackageTemplate | None = None

    def __post_init__(self) -> None:
        if not re.match(KIND_NAME, self.name):
            raise PluginError(
                "a kind of plugin has a malformed name",
                found=repr(self.name),
                expected="lower-case letters, digits and '-', with a letter first",
            )
        for part in ("config", "interface", "checks"):
            text = getattr(self, part)
            if not re.match(IMPORT_STRING, text) and (text or part == "config"):
                raise PluginError(
                    f"kind {self.name!r}: {part} must be an import string",
                    found=repr(text),
                    expected="package.module:name",
                )
        if not self.title:
            article = "an" if self.name[0] in "aeiou" else "a"
            object.__setattr__(self, "title", f"{article} {self.name}")

    def load(self, part: str) -> Any:
        """The object that the import string in the field `part` names.

        Raises PluginError when the kind has none or it cannot be imported.
        """
        path: str = getattr(self, part)
        if not path:
            raise PluginError(f"plugins of kind {self.name!r} have no {part}", hint=f"declare PluginKind.{part}")
        try:
            return import_object(path)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"the {part} of kind {self.name!r} cannot be imported", found=f"{path}: {error}"
            ) from error


def import_object(path: str) -> Any:
    """The object of an import string, `"package.module:name"`. Raises what the import raises."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
