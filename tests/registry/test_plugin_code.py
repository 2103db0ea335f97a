"""Which code a plugin runs: its sources and what they import, wherever the files lie."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import PluginError
from affectgpt.registry.plugin_code import code_of, remember_sources

PLUGIN = """\
{imports}
from affectgpt import FuserConfig, TokenSpec, fuser


class AnyConfig(FuserConfig):
    def infer(self, inputs):
        return TokenSpec(modality="x", dim=8, tokens=1)


@fuser("any", config=AnyConfig)
class Any:
    def forward(self, inputs):
        {body}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The class of a plugin file in the folder `tmp_path`, which is on the path of modules."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load_class(imports: str = "", body: str = "return None", folder: Path = tmp_path) -> Any:
        (folder / "any.py").write_text(PLUGIN.format(imports=imports, body=body))
        return discover([str(folder / "any.py")]).get("fuser", "any").target_class()

    return load_class


def module(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path.name


def test_a_file_alone_is_its_content_wherever_it_lies(load: Callable[..., Any], tmp_path: Path) -> None:
    here = code_of(load())
    (tmp_path / "elsewhere").mkdir()
    assert here.keys() == {"any.py"} and code_of(load(folder=tmp_path / "elsewhere")) == here
    assert code_of(load(body="return 1")) != here


def test_what_is_imported_is_followed_and_the_rest_is_not(load: Callable[..., Any], tmp_path: Path) -> None:
    module(tmp_path, "code_first", "import json, numpy, torch\nimport code_second")
    module(
        tmp_path,
        "code_second",
        "def f():\n    from code_pack.inner import deep\n    import code_first\n    import nowhere",
    )
    module(tmp_path, "code_unused", "")
    for name in ("code_pack/__init__", "code_pack/inner", "code_pack/other"):
        module(tmp_path, name, "")
    code = code_of(load("import code_first, pytest"))
    # Of installed packages those count that this project does not need itself.
    assert code.keys() == {"any.py", "code_first", "code_second", "code_pack", "pytest"}
    assert code["pytest"] == f"pytest {version('pytest')}"
    before = code["code_pack"]
    module(tmp_path, "code_pack/other", "X = 1")
    assert code_of(load("import code_first, pytest"))["code_pack"] != before


@pytest.mark.parametrize(
    ("imports", "counts"),
    [
        ("import affectgpt", False),
        ("from affectgpt import Clip", False),
        ("from affectgpt.plugins.encoders.mel import Mel", True),
        ("import affectgpt.media.clip", True),
        ("from affectgpt import media", True),
    ],
)
def test_this_project_counts_by_its_version_where_more_is_imported(
    imports: str, counts: bool, load: Callable[..., Any]
) -> None:
    import affectgpt.media.clip  # noqa: F401 - so that it is a module, and no name

    assert code_of(load(imports)).get("affectgpt") == (version("affectgpt") if counts else None)


def test_a_module_that_changed_since_it_was_imported_is_named(load: Callable[..., Any], tmp_path: Path) -> None:
    module(tmp_path, "code_changed", "X = 1")
    cls = load("import code_changed")
    remember_sources(cls)
    module(tmp_path, "code_changed", "X = 2")
    with pytest.raises(PluginError, match=r"code_changed\.py: this file changed since it was imported"):
        code_of(cls)
    # One that was not imported yet runs as it is.
    lazy_class = load(body="import code_later")
    module(tmp_path, "code_later", "X = 1")
    before = code_of(lazy_class)
    module(tmp_path, "code_later", "X = 2")
    assert code_of(lazy_class) != before


def test_a_plugin_file_that_was_not_loaded_again_is_named(load: Callable[..., Any], tmp_path: Path) -> None:
    former = load()
    (tmp_path / "any.py").write_text("# Another.\n" + (tmp_path / "any.py").read_text())
    with pytest.raises(PluginError, match=r"load a plugin file again"):
        code_of(former)
    second = discover([str(tmp_path / "any.py")]).get("fuser", "any").target_class()
    assert code_of(second)
    with pytest.raises(PluginError, match=r"any\.py: this file changed"):
        code_of(former)


def test_a_class_without_a_source_file_is_refused() -> None:
    # As in a notebook: the module has the kernel's file or none, and functions name their cells.
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("class Cell:\n    def forward(self):\n        return 1\n", "<cell 1>", "exec"), namespace)
    with pytest.raises(PluginError, match=r"__main__\.Cell: the source of this class cannot be read") as error:
        code_of(namespace["Cell"])
    assert "feature_version" in str(error.value)
    without_file = type("Lost", (), {"__module__": "of_no_file"})
    with pytest.raises(PluginError, match="cannot be read"):
        code_of(without_file)


def test_a_module_of_a_package_is_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in {"__init__": "", "a/__init__": "", "a/b": "class B:\n    def f(self): ...\n", "c": ""}.items():
        module(tmp_path, f"code_whole/{name}", text)
    import importlib

    cls = importlib.import_module("code_whole.a.b").B
    before = code_of(cls)
    assert before.keys() == {"code_whole"}
    module(tmp_path, "code_whole/c", "X = 1")
    assert code_of(cls) != before and "code_whole.c" not in sys.modules
