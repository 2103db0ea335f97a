"""Public names, their signatures and the options of the command line, compared with the record in public.json.

`python tests/test_public.py --update` (`make snapshot`) writes the record anew.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

RECORD = Path(__file__).with_name("public.json")
MODULES = ("affectgpt", "affectgpt.testing")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
PATHS = re.compile(r"\b(?:affectgpt|pathlib|collections|typing|numpy|torch)(?:\.[a-z_]\w*)*\.(?=[A-Z_])")


def signature_of(value: object) -> str:
    if isinstance(value, type) and issubclass(value, BaseModel):
        # Some are built when they are first used.
        value.model_rebuild()
    try:
        text = str(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return type(value).__name__
    return PATHS.sub("", ADDRESS.sub("", text).replace("'", "").replace('"', ""))


def own_members(cls: type) -> Iterator[tuple[str, object]]:
    """Public methods and properties that this package defines, in the class or a base, by name."""
    names = {name for base in cls.__mro__ if base.__module__.startswith("affectgpt") for name in vars(base)}
    for name in sorted(names):
        if name.startswith("_") or name.startswith("model_"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, property):
            yield name, value.fget
        elif inspect.isfunction(value):
            yield name, value


def describe_names() -> dict[str, dict[str, str]]:
    """Per module: name -> signature, and `Class.method` -> signature."""
    result: dict[str, dict[str, str]] = {}
    for path in MODULES:
        module = import_module(path)
        signatures = {}
        for name in sorted(set(module.__all__) - {"__version__"}):
            value = getattr(module, name)
            is_documented = inspect.isclass(value) or inspect.isroutine(value)
            signatures[name] = signature_of(value) if is_documented else type(value).__name__
            if inspect.isclass(value):
                signatures |= {f"{name}.{member}": signature_of(item) for member, item in own_members(value)}
        result[path] = signatures
    return result


def describe_commands(command: Any, path: str = "affectgpt") -> dict[str, list[str]]:
    """Command -> its arguments and options."""
    result = {}
    if children := getattr(command, "commands", None):
        for name in sorted(children):
            result |= describe_commands(children[name], f"{path} {name}")
    results = [item for item in command.params if not getattr(item, "hidden", False)]
    result[path] = sorted(" ".join([*item.opts, *item.secondary_opts]) for item in results)
    return result


def describe_public() -> dict[str, Any]:
    app = import_module("affectgpt.cli.main").application()
    return {"names": describe_names(), "commands": describe_commands(typer.main.get_command(app))}


def written(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def test_nothing_public_changes_without_a_line_in_the_changelog() -> None:
    before, now = RECORD.read_text(encoding="utf-8").splitlines(), written(describe_public()).splitlines()
    changes = [line for line in difflib.unified_diff(before, now, "recorded", "now", lineterm="", n=0)]
    assert not changes, (
        "public names, signatures or options changed:\n"
        + "\n".join(changes)
        + "\nWrite a line in CHANGELOG.md that tells users what changed, then run `make snapshot`."
    )


@pytest.mark.parametrize("module", MODULES)
def test_no_public_signature_holds_any(module: str) -> None:
    loose = {name: text for name, text in describe_names()[module].items() if re.search(r"\bAny\b", text)}
    assert not loose, "type checkers see nothing of these: " + ", ".join(sorted(loose))


def test_a_changed_signature_and_a_lost_option_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import affectgpt

    def load(start: str, extra: int = 0) -> None: ...

    before = describe_names()["affectgpt"]["load"]
    monkeypatch.setattr(affectgpt, "load", load, raising=False)
    assert describe_names()["affectgpt"]["load"] == "(start: str, extra: int = 0) -> None" != before
    assert "--json" in describe_public()["commands"]["affectgpt check"]


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit(f"usage: {sys.argv[0]} --update")
    RECORD.write_text(written(describe_public()), encoding="utf-8")
