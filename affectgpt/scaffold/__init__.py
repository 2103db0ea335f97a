"""`affectgpt new`: a plugin package to start from, written from the templates in this folder."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from string import Template

from affectgpt import __version__
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.spec import Kind

_HERE = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_PLACES = {
    "pyproject.toml": "package/pyproject.toml",
    "README.md": "package/README.md",
    ".github/workflows/test.yml": "package/workflow.yml",
    "{module}/__init__.py": "package/init.py",
    "{module}/config.py": "{kind}/config.py",
    "{module}/module.py": "{kind}/module.py",
    "tests/test_{short}.py": "package/test.py",
}
_SUFFIX = {"fuser": "Fuser", "encoder": "Encoder", "llm": "LLM", "extractor": "Extractor"}
_SUMMARY = {
    "fuser": "the inputs' averages, each behind a learned gate",
    "encoder": "loudness and brightness of each half second of sound",
    "llm": "a small GPT-2 over bytes",
    "extractor": "emotion words that stand in two lists",
}
_CONTRACT = {
    "fuser": "FuserContract",
    "encoder": "EncoderContract",
    "llm": "LLMContract",
    "extractor": "ExtractorContract",
}
_OPTIONS = "the options, and what comes out; it imports no torch, so that pipelines are checked at once"
_FILES = {
    "fuser": (_OPTIONS, "the `nn.Module`"),
    "encoder": (_OPTIONS, "the `nn.Module`"),
    "llm": (_OPTIONS, "the `nn.Module`"),
    "extractor": ("the options; it imports no torch, so that they are checked at once", "the class that reads texts"),
}


def write_package(kind: Kind, name: str, into: Path) -> Path:
    """Write the package `affectgpt-plugin-NAME` into the folder `into`; returns where. All of it or nothing.

    Raises ConfigError when the name is not made of lower-case words joined by hyphens, when `into` is not a folder,
    and when the package is already there.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ConfigError(
            "this is not a name for a plugin",
            found=repr(name),
            expected=f"lower-case words and digits joined by hyphens, at most {_LONGEST} characters: my-fuser",
        )
    if not into.is_dir():
        raise ConfigError("there is no such folder", where=str(into), hint="make it, or give another with --into")
    target = into / f"affectgpt-plugin-{name}"
    if target.exists():
        raise ConfigError("this is already there", where=str(target), hint="choose another name or --into")
    short = name.replace("-", "_")
    camel = "".join(word.capitalize() for word in name.split("-"))
    values = {
        "name": name,
        "kind": kind,
        "short": short,
        "module": f"affectgpt_{short}",
        "target": camel + _SUFFIX[kind],
        "config": f"{camel}{_SUFFIX[kind]}Config",
        "summary": _SUMMARY[kind],
        "contract": _CONTRACT[kind],
        "options": _FILES[kind][0],
        "code": _FILES[kind][1],
        "version": ".".join(__version__.split(".")[:2]),
    }
    with tempfile.TemporaryDirectory(prefix=".new-", dir=into) as folder:
        for place, template in _PLACES.items():
            text = (_HERE / f"{template.format(kind=kind)}.template").read_text(encoding="utf-8")
            path = Path(folder) / "package" / place.format(**values)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(values), encoding="utf-8")
        shutil.move(Path(folder) / "package", target)
    return target
