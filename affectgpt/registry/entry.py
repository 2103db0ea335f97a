"""What a [Catalog][] holds: plugins with their origins, and what could not be taken in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from affectgpt.registry.errors import AffectGPTError, PluginError
from affectgpt.registry.kinds import import_object
from affectgpt.registry.messages import one_line
from affectgpt.registry.plugin_code import PROJECT
from affectgpt.registry.spec import Origin, PluginSpec


@dataclass(frozen=True)
class PluginEntry:
    """A plugin's declaration and its origin."""

    spec: PluginSpec
    origin: Origin

    def location(self, node: str = "") -> str:
        """The `where` of messages about the plugin; `node` is its name in a pipeline."""
        text = f"{self.spec.kind} {self.spec.name!r} from {self.origin}"
        return f"{node} ({text})" if node else text

    def config_class(self) -> Any:
        """The plugin's config class (torch-free for the plugins of this project). Raises PluginError."""
        return self._load(self.spec.config, "config")

    def target_class(self) -> Any:
        """The plugin's class; importing it usually imports torch. Raises PluginError."""
        return self._load(self.spec.target, "target")

    def is_built_in(self) -> bool:
        """Whether the plugin is one of this project."""
        return self.spec.target.startswith(f"{PROJECT}.")

    def build(self, *arguments: Any, node: str = "") -> Any:
        """The plugin's class called with `arguments`; `node` is its name in a pipeline, for messages.

        Raises PluginError when the class fails or lacks a package, and the errors that it raises on purpose.
        """
        target = self.target_class()
        try:
            return target(*arguments)
        except AffectGPTError:
            raise
        except ModuleNotFoundError as error:
            packages = " ".join(map(repr, self.spec.requires)) or repr(error.name)
            raise PluginError(
                "a plugin needs a package that is not installed",
                where=self.location(node),
                found=str(error),
                hint=f"pip install {packages}",
            ) from error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise PluginError(
                "a plugin failed while it was built", where=self.location(node), found=one_line(error)
            ) from error

    def _load(self, path: str, role: str) -> Any:
        try:
            value = import_object(path)
            if role == "config" and not getattr(value, "__pydantic_complete__", True):
                # Some configs build their validators late; a wrong annotation is the plugin's error, and found here.
                value.model_rebuild()
            return value
        except ModuleNotFoundError as error:
            missing = error.name or str(error)
            packages = " ".join(map(repr, self.spec.requires)) or repr(missing)
            raise PluginError(
                f"the {role} of a plugin needs a package that is not installed",
                where=self.location(),
                found=f"no module named {missing!r} ({path})",
                hint=f"pip install {packages}",
            ) from error
        except AffectGPTError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"the {role} of a plugin cannot be imported",
                where=self.location(),
                found=f"{path}: {one_line(error)}",
                hint=f"mend {path.partition(':')[0]!r}, or choose another plugin",
            ) from error


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin or plugin package that could not be taken in, and the cause."""

    name: str
    origin: Origin
    cause: str
