"""`affectgpt new`: a plugin package to start from, written from the template of its kind."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from affectgpt import __version__
from affectgpt.files.unfinished import unfinished
from affectgpt.registry.errors import ConfigError, PluginError
from affectgpt.registry.kinds import PluginKind

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_LENGTH = 40
_FILES = {
    "pyproject.toml": "package/pyproject.toml",
    "README.md": "package/README.md",
    ".github/workflows/test.yml": "package/workflow.yml",
    "{module}/__init__.py": "package/init.py",
    "{module}/config.py": "config.py",
    "{module}/module.py": "module.py",
    "tests/test_{short}.py": "package/test.py",
}


def write_package(kind: PluginKind, name: str, into: Path) -> Path:
    """Write the package `affectgpt-plugin-NAME` into the folder `into`; returns its path. All of it or nothing.

    Raises ConfigError when the name is not made of lower-case words joined by hyphens, when `into` is not a folder,
    and when the package exists; PluginError when the kind has no template.
    """
    if kind.template is None:
        raise PluginError(f"plugins of kind {kind.name!r} have no template", hint="declare PluginKind.template")
    if not _NAME.fullmatch(name) or len(name) > _MAX_LENGTH:
        raise ConfigError(
            "this is not a name for a plugin",
            found=repr(name),
            expected=f"lower-case words and digits joined by hyphens, at most {_MAX_LENGTH} characters: my-fuser",
        )
    if not into.is_dir():
        raise ConfigError("there is no such folder", where=str(into), hint="create it, or pass another as into")
    target = into / f"affectgpt-plugin-{name}"
    if target.exists():
        raise ConfigError(
            "the package exists", where=str(target), hint="choose another name, or pass another folder as into"
        )
    short = name.replace("-", "_")
    template = kind.template
    contract_module, _, contract = template.contract.rpartition(":")
    camel = "".join(word.capitalize() for word in name.split("-"))
    values = {
        "name": name,
        "kind": kind.name,
        "short": short,
        "module": f"affectgpt_{short}",
        "target": camel + template.suffix,
        "config": f"{camel}{template.suffix}Config",
        "summary": template.summary,
        "contract": contract,
        "contract_module": contract_module or "affectgpt.testing",
        "options": template.config_role,
        "code": template.module_role,
        "version": _lowest_version(__version__),
    }
    with unfinished(target) as folder:
        for destination, source in _FILES.items():
            text = (_template_folder(kind, source) / f"{source}.template").read_text(encoding="utf-8")
            path = folder / destination.format(**values)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    return target


def _lowest_version(version: str) -> str:
    """The first release of `version`'s minor series. `>=0.2` would refuse a development version of 0.2."""
    minor = ".".join(version.split(".")[:2])
    return f"{minor}.dev0" if ".dev" in version else minor


def _template_folder(kind: PluginKind, source: str) -> Traversable:
    """The folder of the template file `source`: of every package, or of the kind."""
    assert kind.template is not None
    package, _, folder = kind.template.folder.partition(":")
    return files(__name__) if "/" in source else files(package) / folder
