from __future__ import annotations

import sys
from pathlib import Path

import pytest

import affectgpt as ag

FUSER = """
from affectgpt import FuserConfig, TokenSpec, fuser
class FirstConfig(FuserConfig):
    def infer(self, inputs): return TokenSpec(modality="x", dim=4, tokens=1)
@fuser("first", config=FirstConfig)
class First:
    "The first input."
"""


class FirstConfig(ag.FuserConfig):
    def infer(self, inputs: object) -> ag.TokenSpec:
        return ag.TokenSpec(modality="x", dim=4, tokens=1)


@ag.fuser("first-of-test", config=FirstConfig)
class First:
    """The first input."""


def test_plugins_are_listed_by_kind_with_those_of_files_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FUSER)
    names = [spec.name for spec in ag.list_plugins("fuser", plugins=[path, First])]
    assert names == sorted(names) and {"first", "first-of-test", "concat"} <= set(names)
    assert {spec.kind for spec in ag.list_plugins()} == {"encoder", "fuser", "llm", "extractor"}
    with pytest.raises(ag.ConfigError, match="did you mean 'fuser'"):
        ag.list_plugins("fusr")


def test_listing_plugins_imports_no_target() -> None:
    import subprocess

    code = "import affectgpt as ag, sys; assert len(ag.list_plugins()) > 20; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_a_plugin_is_verified_by_name_and_by_class() -> None:
    results = ag.verify("mean")
    assert results and not [result for result in results if result.failure]
    assert all(result.check and result.promise for result in results)
    broken = ag.verify(First, options={"inputs": ["a"]})
    assert any(result.failure for result in broken)
    with pytest.raises(ag.PluginError, match="did you mean 'mean'"):
        ag.verify("meann")


def test_an_extractor_is_built_of_its_name() -> None:
    lexicon = ag.build_extractor("lexicon")
    assert lexicon.emotions(["She is happy."])[0].labels == ("happy",)
    assert ag.build_extractor("lexicon", {}, ag.discover()).emotions(["He is sad."])[0].labels == ("sad",)
    with pytest.raises(ag.ConfigError):
        ag.build_extractor("lexicon", {"no-such": 1})


def test_a_package_is_written_for_a_new_plugin(tmp_path: Path) -> None:
    folder = ag.new_plugin("fuser", "my-fuser", tmp_path)
    assert folder == tmp_path / "affectgpt-plugin-my-fuser" and (folder / "pyproject.toml").is_file()
    with pytest.raises(ag.ConfigError, match="there is a fuser of this name"):
        ag.new_plugin("fuser", "concat", tmp_path)
    with pytest.raises(ag.ConfigError, match="no such kind"):
        ag.new_plugin("fusr", "my-fuser", tmp_path)


def test_the_schema_knows_the_plugins() -> None:
    assert "cross-attention" in str(ag.schema())


def test_a_catalog_takes_a_class_with_the_origin_of_its_module() -> None:
    catalog = ag.discover()
    catalog.add(First)
    entry = catalog.get("fuser", "first-of-test")
    assert entry.origin.source.endswith("test_catalog.py") or entry.origin.source == "test_catalog"
