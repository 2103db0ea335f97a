"""A package brings a kind of plugin of its own: it is declared, listed, verified and scaffolded like ours."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import GROUP, discover
from affectgpt.registry.errors import PluginError
from affectgpt.scaffold import write_package
from affectgpt.testing.verification import verify

KIND = {
    "__init__.py": """
        from affectgpt import PluginSpec, hookimpl
        from affectgpt.registry.kinds import PackageTemplate, PluginKind

        GREETER = PluginKind(
            name="greeter",
            config="greeter_kind.contract:GreeterConfig",
            interface="greeter_kind.contract:interface",
            checks="greeter_kind.checks:KIND_CHECKS",
            template=PackageTemplate(
                folder="greeter_kind:template",
                suffix="Greeter",
                summary="a greeting",
                contract="greeter_kind.checks:GreeterContract",
                config_role="the options",
                module_role="the class",
            ),
        )

        @hookimpl
        def affectgpt_kinds():
            return [GREETER]
    """,
    "contract.py": """
        from affectgpt.core.contracts import PluginConfig

        class GreeterConfig(PluginConfig):
            word: str = "Hello"

        def interface(config):
            return "name -> greeting"
    """,
    "checks.py": '''
        from affectgpt.testing import Contract, KindChecks

        def greets(case):
            """The greeting holds the name."""
            assert "Ann" in case.build().greet("Ann"), "the name is missing"

        KIND_CHECKS = KindChecks({"greets": greets})

        class GreeterContract(Contract):
            kind = "greeter"
    ''',
    "template/config.py.template": """
        from greeter_kind.contract import GreeterConfig

        class $config(GreeterConfig):
            pass
    """,
    "template/module.py.template": """
        class $target:
            def __init__(self, config):
                self.config = config

            def greet(self, name):
                return f"{self.config.word} {name}"
    """,
}
PLUGIN = """
    from affectgpt import PluginSpec, hookimpl
    from greeter_kind.contract import GreeterConfig

    class Config(GreeterConfig): ...

    class Wrong(GreeterConfig):
        def __init__(self, **values): raise ValueError("never")

    class Kind:
        def __init__(self, config): self.word = config.word
        def greet(self, name): return f"{self.word} {name}"

    class Rude:
        def __init__(self, config): pass
        def greet(self, name): return "You"

    @hookimpl
    def affectgpt_plugins():
        return [
            PluginSpec(kind="greeter", name=name, config="a_greeter:Config", target=f"a_greeter:{target}", summary=name)
            for name, target in (("kind", "Kind"), ("rude", "Rude"))
        ]
"""


def point(module: str) -> EntryPoint:
    return EntryPoint(name=module, value=module, group=GROUP)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in {**{f"greeter_kind/{name}": text for name, text in KIND.items()}, "a_greeter.py": PLUGIN}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("greeter_kind", "a_greeter", "affectgpt_polite")):
            del sys.modules[name]


@pytest.fixture
def catalog(packages: Path) -> Catalog:
    # In the order of the names the plugin comes before its kind.
    return discover(points=[point("a_greeter"), point("greeter_kind")])


def test_plugins_of_the_kind_are_listed_with_their_interface(catalog: Catalog) -> None:
    assert catalog.broken == [] and list(catalog.kinds) == ["greeter"] and catalog.names("greeter") == ["kind", "rude"]
    assert catalog.interface(catalog.get("greeter", "kind")) == "name -> greeting"
    assert catalog.kinds["greeter"].title == "a greeter"


def test_plugins_of_the_kind_are_verified_by_its_checks(catalog: Catalog) -> None:
    (good,), (bad,) = verify(catalog, "greeter", "kind"), verify(catalog, "greeter", "rude", {"word": "Hi"})
    assert (good.check, good.promise, good.failure) == ("greets", "The greeting holds the name.", "")
    assert bad.failure == "word=Hi: the name is missing"


def test_a_package_of_the_kind_is_written_and_passes_its_checks(catalog: Catalog, tmp_path: Path) -> None:
    folder = write_package(catalog.kinds["greeter"], "polite", tmp_path)
    test = (folder / "tests" / "test_polite.py").read_text(encoding="utf-8")
    assert "from greeter_kind.checks import GreeterContract" in test
    sys.path.insert(0, str(folder))
    try:
        catalog = discover(["affectgpt_polite"], points=[point("greeter_kind")])
        assert [result.failure for result in verify(catalog, "greeter", "polite")] == [""]
    finally:
        sys.path.remove(str(folder))


def test_without_its_kind_a_plugin_is_listed_as_broken(packages: Path) -> None:
    catalog = discover(points=[point("a_greeter")])
    assert catalog.names("greeter") == [] and "no plugin kind 'greeter'" in catalog.broken[0].cause


def test_two_kinds_of_one_name_are_refused(catalog: Catalog, packages: Path) -> None:
    (packages / "impostor_kind.py").write_text(
        "from affectgpt import hookimpl\nfrom affectgpt.registry.kinds import PluginKind\n@hookimpl\n"
        "def affectgpt_kinds():\n    return [PluginKind(name='greeter', config='impostor_kind:Config')]\n",
        encoding="utf-8",
    )
    with pytest.raises(PluginError, match="two kinds of plugins are named 'greeter'"):
        discover(["impostor_kind"], points=[point("greeter_kind")])


def test_a_kind_without_checks_or_template_says_so(catalog: Catalog, tmp_path: Path) -> None:
    from affectgpt.registry.kinds import PluginKind

    bare = PluginKind(name="bare", config="greeter_kind.contract:GreeterConfig")
    catalog.add_kind(bare)
    with pytest.raises(PluginError, match="'bare' have no template"):
        write_package(bare, "thing", tmp_path)
    with pytest.raises(PluginError, match="'bare' have no checks"):
        list(verify(catalog, "bare", "thing"))


def test_the_registry_names_no_kind() -> None:
    import ast

    import affectgpt.registry
    from affectgpt.core.kinds import KINDS

    names = {kind.name for kind in KINDS}
    for path in Path(affectgpt.registry.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                raise AssertionError(f"{path.name}:{node.lineno} names the kind {node.value!r}")
            if isinstance(node, ast.FunctionDef | ast.Name) and (
                getattr(node, "name", None) in names or getattr(node, "id", None) in names
            ):
                raise AssertionError(f"{path.name}:{node.lineno} names a kind")
