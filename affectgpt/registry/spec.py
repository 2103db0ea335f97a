"""A plugin's declaration, read before any of its code is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from affectgpt.registry.errors import PluginError
from affectgpt.registry.kinds import IMPORT_STRING, KIND_NAME, PluginKind

Kind = str
"""The name of a kind of plugin, such as "fuser"."""

API_VERSION = 2
"""The version of the plugin contracts of this release."""
SUPPORTED = (1, 2)
"""The versions of the plugin contracts that this release works with."""
SPEC_ATTRIBUTE, KIND_ATTRIBUTE = "__affectgpt_spec__", "__affectgpt_kind__"


class PluginSpec(BaseModel):
    """A plugin's declaration: its two classes, and what `affectgpt plugins` lists.

    `config` and `target` are import strings, `"package.module:Class"`; nothing is imported until the plugin
    is used. `api_version` is that of the plugin contracts the plugin was written for: version 1 where it is left out.
    `requires` names the distributions that it needs beyond this project's own. `citation` is the
    paper or page that the method comes from. Raises pydantic's ValidationError on a malformed field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: str = Field(pattern=KIND_NAME)
    config: str = Field(pattern=IMPORT_STRING)
    target: str = Field(pattern=IMPORT_STRING)
    summary: str = Field(min_length=1)
    api_version: int = Field(default=1, ge=1)
    requires: tuple[str, ...] = ()
    citation: str = ""


@dataclass(frozen=True)
class Origin:
    """The source of a plugin: its distribution and version, or a file or module."""

    source: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.version}".strip()

    @classmethod
    def of_module(cls, name: str) -> Origin:
        """The distribution and version of an imported module, else its file, else its name."""
        from importlib.metadata import PackageNotFoundError, packages_distributions, version

        top = name.split(".")[0]
        # An editable install lists no packages; its distribution usually has the package's name.
        for distribution in [*packages_distributions().get(top, []), top]:
            try:
                return cls(distribution, version(distribution))
            except PackageNotFoundError:
                continue
        # A notebook's `__main__` has a file that is no source of anything.
        file = None if name == "__main__" else getattr(sys.modules.get(name), "__file__", None)
        return cls(file or top)


C = TypeVar("C", bound=type)


def plugin_decorator(
    kind: PluginKind,
    name: str,
    *,
    config: type,
    summary: str = "",
    citation: str = "",
    requires: tuple[str, ...] = (),
    api_version: int = API_VERSION,
) -> Callable[[C], C]:
    """A decorator that marks a class as the plugin `name` of `kind`. Registers nothing: discovery reads the mark.

    The decorator raises PluginError for a malformed name and for a class that is not at the top level of a module.
    """

    def mark(target: C) -> C:
        for cls in (target, config):
            if "." in cls.__qualname__:
                raise PluginError(
                    f"{kind.name} {name!r}: the class {cls.__name__} is inside a function or another class",
                    where=cls.__module__,
                    found=cls.__qualname__,
                    expected="a class at the top level of a module or a notebook cell",
                    hint="move it there: worker processes import it by its name",
                )
        try:
            spec = PluginSpec(
                name=name,
                kind=kind.name,
                config=f"{config.__module__}:{config.__qualname__}",
                target=f"{target.__module__}:{target.__qualname__}",
                summary=summary or (target.__doc__ or name).strip().splitlines()[0],
                api_version=api_version,
                citation=citation,
                requires=requires,
            )
        except ValidationError as error:
            first = error.errors()[0]
            is_name = first["loc"][0] == "name"
            raise PluginError(
                f"@{kind.name}({name!r}) on {target.__qualname__} is malformed",
                where=target.__module__,
                found=f"{first['loc'][0]} = {first['input']!r}",
                expected="a name of lower-case letters, digits, '-', '.' or '_'" if is_name else first["msg"],
            ) from error
        setattr(target, SPEC_ATTRIBUTE, spec)
        setattr(target, KIND_ATTRIBUTE, kind)
        return target

    return mark
