"""What a plugin says about itself before any of its code is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from affectgpt.registry.errors import PluginError

Kind = Literal["encoder", "fuser", "llm", "extractor"]
KINDS: tuple[Kind, ...] = ("encoder", "fuser", "llm", "extractor")
API_VERSION = 1
MARK = "__affectgpt_spec__"
_IMPORT_STRING = r"^[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*$"


class PluginSpec(BaseModel):
    """A plugin's declaration: where its two classes are, and what a reader should know.

    `config` and `target` are import strings, `"package.module:Class"`; nothing is imported until the plugin
    is used. `requires` names the distributions that it needs beyond this project's own. `citation` is the
    paper or page that the method comes from. Raises pydantic's ValidationError on a malformed field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: Kind
    config: str = Field(pattern=_IMPORT_STRING)
    target: str = Field(pattern=_IMPORT_STRING)
    summary: str = Field(min_length=1)
    api_version: int = API_VERSION
    requires: tuple[str, ...] = ()
    citation: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a plugin came from: its distribution and version, or the file or module that was named."""

    source: str
    version: str = ""

    @classmethod
    def of_module(cls, name: str) -> Origin:
        """The distribution that the imported module `name` belongs to; its file when it belongs to none."""
        import sys
        from importlib.metadata import PackageNotFoundError, packages_distributions, version

        top = name.split(".")[0]
        # An editable install lists no packages; its distribution usually has the package's name.
        for distribution in [*packages_distributions().get(top, []), top]:
            try:
                return cls(distribution, version(distribution))
            except PackageNotFoundError:
                continue
        return cls(getattr(sys.modules.get(name), "__file__", None) or top)

    def __str__(self) -> str:
        return f"{self.source} {self.version}".strip()


C = TypeVar("C", bound=type)


def _marker(kind: Kind, name: str, config: type, summary: str, citation: str, requires: tuple[str, ...]) -> Any:
    def mark(target: C) -> C:
        try:
            spec = PluginSpec(
                name=name,
                kind=kind,
                config=f"{config.__module__}:{config.__qualname__}",
                target=f"{target.__module__}:{target.__qualname__}",
                summary=summary or (target.__doc__ or name).strip().splitlines()[0],
                citation=citation,
                requires=requires,
            )
        except ValidationError as error:
            wrong = error.errors()[0]
            raise PluginError(
                f"@{kind}({name!r}) on {target.__qualname__} is malformed",
                where=target.__module__,
                found=f"{wrong['loc'][0]} = {wrong['input']!r}",
                expected="a name of lower-case letters, digits, '-', '.' or '_'"
                if wrong["loc"][0] == "name"
                else "both classes at the top level of a module",
            ) from error
        setattr(target, MARK, spec)
        return target

    return mark


def encoder(name: str, *, config: type, summary: str = "", citation: str = "", requires: tuple[str, ...] = ()) -> Any:
    """Mark a class as the encoder plugin `name`. Registers nothing: discovery finds the mark."""
    return _marker("encoder", name, config, summary, citation, requires)


def fuser(name: str, *, config: type, summary: str = "", citation: str = "", requires: tuple[str, ...] = ()) -> Any:
    """Mark a class as the fuser plugin `name`. Registers nothing: discovery finds the mark."""
    return _marker("fuser", name, config, summary, citation, requires)


def llm(name: str, *, config: type, summary: str = "", citation: str = "", requires: tuple[str, ...] = ()) -> Any:
    """Mark a class as the LLM plugin `name`. Registers nothing: discovery finds the mark."""
    return _marker("llm", name, config, summary, citation, requires)


def extractor(name: str, *, config: type, summary: str = "", citation: str = "", requires: tuple[str, ...] = ()) -> Any:
    """Mark a class as the extractor plugin `name`. Registers nothing: discovery finds the mark."""
    return _marker("extractor", name, config, summary, citation, requires)
