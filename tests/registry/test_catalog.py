"""Adding plugins, looking them up, and what happens when that goes wrong."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from affectgpt.core.kinds import KINDS, fuser
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import PluginError
from affectgpt.registry.hooks import hookimpl
from affectgpt.registry.spec import SUPPORTED, Origin, PluginSpec

ORIGIN = Origin("some-package", "1.2")


def spec(name: str = "blend", **changes: object) -> PluginSpec:
    fields = {
        "name": name,
        "kind": "fuser",
        "config": "some.module:Config",
        "target": "some.module:Blend",
        "summary": "blends",
    }
    return PluginSpec(**{**fields, **changes})  # type: ignore[arg-type]


def module(name: str = "a_plugin_module", **members: object) -> types.ModuleType:
    result = types.ModuleType(name)
    for key, value in members.items():
        setattr(result, key, value)
    return result


def test_an_unknown_name_says_the_nearest_and_all_of_its_kind() -> None:
    catalog = Catalog(KINDS)
    catalog.add(spec("blend"), ORIGIN)
    catalog.add(spec("stack"), ORIGIN)
    with pytest.raises(PluginError) as caught:
        catalog.get("fuser", "blned")
    assert "'blend'" in str(caught.value) and "stack" in str(caught.value)


def test_a_name_of_another_kind_is_pointed_out() -> None:
    catalog = Catalog(KINDS)
    catalog.add(spec("blend"), ORIGIN)
    with pytest.raises(PluginError, match="of kind fuser"):
        catalog.get("encoder", "blend")


def test_what_failed_to_load_is_named_when_a_plugin_is_missing() -> None:
    catalog = Catalog(KINDS)
    catalog.report("broken-one", ORIGIN, "ValueError: boom")
    with pytest.raises(PluginError, match="ValueError: boom"):
        catalog.get("fuser", "blend")


def test_two_plugins_of_one_name_name_both_origins_and_stay_unusable() -> None:
    catalog = Catalog(KINDS)
    catalog.add(spec(), ORIGIN)
    with pytest.raises(PluginError) as caught:
        catalog.add(spec(target="other.module:Blend"), Origin("other-package", "3"))
    assert "some-package 1.2" in str(caught.value) and "other-package 3" in str(caught.value)
    with pytest.raises(PluginError, match="two plugins"):
        catalog.get("fuser", "blend")


def test_the_same_plugin_again_changes_nothing() -> None:
    catalog = Catalog(KINDS)
    catalog.add(spec(), ORIGIN)
    catalog.add(spec(), ORIGIN)
    assert catalog.get("fuser", "blend").spec == spec()


def test_another_contract_version_is_refused() -> None:
    with pytest.raises(PluginError, match="api_version 99"):
        Catalog(KINDS).add(spec(api_version=99), ORIGIN)


def test_a_misspelt_hook_is_reported_with_the_nearest() -> None:
    @hookimpl
    def affectgpt_plugin() -> list[PluginSpec]:
        return [spec()]

    catalog = Catalog(KINDS)
    with pytest.raises(PluginError) as caught:
        catalog.add_module(module(affectgpt_plugin=affectgpt_plugin), ORIGIN)
    assert "affectgpt_plugin\n" in str(caught.value) and "'affectgpt_plugins'" in str(caught.value)
    assert catalog.hooks.get_plugins() == set()


def test_a_hook_with_wrong_arguments_is_reported_and_not_left_registered() -> None:
    @hookimpl
    def affectgpt_before_run(comand: str) -> None:
        raise AssertionError

    catalog = Catalog(KINDS)
    with pytest.raises(PluginError, match="comand"):
        catalog.add_module(module(affectgpt_before_run=affectgpt_before_run), ORIGIN)
    assert catalog.hooks.get_plugins() == set()


def test_a_module_that_declares_nothing_is_refused() -> None:
    with pytest.raises(PluginError, match="declares no plugin"):
        Catalog(KINDS).add_module(module(), ORIGIN)


def test_a_module_is_taken_in_whole_or_not_at_all() -> None:
    @hookimpl
    def affectgpt_plugins() -> list[PluginSpec]:
        return [spec("fine"), spec("blend", target="second:Blend")]

    catalog = Catalog(KINDS)
    catalog.add(spec("blend"), ORIGIN)
    with pytest.raises(PluginError, match="two plugins"):
        catalog.add_module(module(affectgpt_plugins=affectgpt_plugins), Origin("second"))
    assert ("fuser", "fine") not in catalog.entries


def test_a_failing_hook_is_reported_and_the_next_is_called() -> None:
    called = []

    @hookimpl(specname="affectgpt_before_run")
    def breaks(command: str) -> None:
        raise RuntimeError("no")

    @hookimpl(specname="affectgpt_before_run")
    def works(command: str, config: object) -> None:
        called.append((command, config))

    catalog = Catalog(KINDS)
    catalog.add_module(module("works_module", works=works), Origin("works"))
    catalog.add_module(module("breaks_module", breaks=breaks), Origin("breaks"))
    failed = catalog.call_hook("affectgpt_before_run", command="train", config=5)
    assert called == [("train", 5)]
    assert failed == catalog.broken and "RuntimeError: no" in failed[0].cause
    assert len(catalog.call_hook("affectgpt_before_run", command="train", config=5)) == 1


class Config: ...


@fuser("marked", config=Config, summary="marked")
class Marked: ...


def test_a_mark_is_found_only_where_the_class_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marked, "__module__", "home")
    home, guest = module("home", Marked=Marked), module("guest", Marked=Marked)
    catalog = Catalog(KINDS)
    catalog.add_module(home, ORIGIN)
    assert catalog.names("fuser") == ["marked"]
    with pytest.raises(PluginError, match="declares no plugin"):
        Catalog(KINDS).add_module(guest, ORIGIN)


def test_a_missing_dependency_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(KINDS)
    catalog.add(spec(config="no_such_package.configs:Config", requires=("no-such",)), ORIGIN)
    with pytest.raises(PluginError, match=r"pip install 'no-such'"):
        catalog.config_class(catalog.get("fuser", "blend"))


def test_a_target_that_fails_to_import_names_plugin_and_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "half_module", module("half_module"))
    catalog = Catalog(KINDS)
    catalog.add(spec(target="half_module:Missing"), ORIGIN)
    with pytest.raises(PluginError) as caught:
        catalog.target_class(catalog.get("fuser", "blend"))
    assert "some-package 1.2" in str(caught.value) and "AttributeError" in str(caught.value)


@pytest.mark.parametrize("field", ["name", "kind", "config", "target"])
def test_a_malformed_declaration_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        spec(**{field: "No Such/Thing"})


def test_a_nested_class_cannot_be_a_plugin() -> None:
    class Inner: ...

    with pytest.raises(PluginError, match="inside a function") as caught:
        fuser("inner", config=Config)(Inner)
    assert "test_a_nested_class_cannot_be_a_plugin.<locals>.Inner" in str(caught.value)
    with pytest.raises(PluginError, match="inside a function"):
        fuser("inner", config=Inner)(Config)


def redefined(doc: str) -> type:
    """A class as a notebook cell defines it when it runs, at the top level of this module."""
    cls = type("Again", (), {"__doc__": doc, "__module__": __name__})
    return fuser("again", config=Config)(cls)


def test_a_class_that_is_defined_again_replaces_the_former_with_one_warning() -> None:
    catalog = Catalog()
    catalog.add(redefined("One."), Origin("__main__"))
    with pytest.warns(UserWarning, match="fuser 'again' is defined again") as caught:
        catalog.add(redefined("Two."), Origin("__main__"))
    assert len(caught) == 1
    assert catalog.get("fuser", "again").spec.summary == "Two." and not catalog.conflicts


def test_a_class_that_is_defined_again_is_used_by_the_next_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = redefined("Same text."), redefined("Same text.")
    monkeypatch.setattr(sys.modules[__name__], "Again", second, raising=False)
    Catalog().add(first)
    with pytest.warns(UserWarning, match="defined again") as caught:
        catalog = Catalog()
        catalog.add(second)
        catalog.add(second)
        Catalog().add(second)
    assert len(caught) == 1
    assert catalog.target_class(catalog.get("fuser", "again")) is second


def test_a_class_of_another_origin_is_no_redefinition() -> None:
    catalog = Catalog()
    catalog.add(redefined("One."), Origin("one.py"))
    with pytest.raises(PluginError, match=r"one\.py and .*two\.py"):
        catalog.add(redefined("Two."), Origin("two.py"))


def test_a_spec_without_api_version_is_of_version_one() -> None:
    assert spec().api_version == 1 and Marked.__affectgpt_spec__.api_version == 2  # type: ignore[attr-defined]
    for version in SUPPORTED:
        catalog = Catalog(KINDS)
        catalog.add(spec(api_version=version), ORIGIN)
        assert catalog.names("fuser") == ["blend"]


def test_a_plugin_of_a_newer_contract_says_what_to_upgrade() -> None:
    with pytest.raises(PluginError) as caught:
        Catalog(KINDS).add(spec(api_version=3), ORIGIN)
    (problem,) = caught.value.problems
    assert problem.what == "fuser 'blend' was written for a newer affectgpt"
    assert (problem.found, problem.hint) == ("api_version 3", "upgrade affectgpt")


def test_a_plugin_of_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(PluginError) as caught:
        Catalog(KINDS).add(spec(kind="fusser"), ORIGIN)
    assert "no plugin kind 'fusser'" in str(caught.value) and "did you mean 'fuser'" in str(caught.value)


def test_the_origin_of_a_class_is_by_default_its_module() -> None:
    catalog = Catalog()
    catalog.add(Marked)
    assert catalog.get("fuser", "marked").origin.source == __file__


def test_a_class_that_inherits_a_mark_is_no_plugin() -> None:
    class Heir(Marked): ...

    with pytest.raises(PluginError, match="is not a plugin") as caught:
        Catalog(KINDS).add(Heir)
    assert "it inherits from fuser 'marked'" in caught.value.problems[0].hint


LATE = """
from torch import nn
from affectgpt import fuser
from affectgpt.plugins.fusers.film_config import FilmConfig
class Thing: pass
class LateConfig(FilmConfig):
    thing: Thing | None = None
@fuser("late", config=LateConfig)
class Late(nn.Module): pass
"""


def test_a_wrong_annotation_below_a_built_in_config_is_an_error_of_its_plugin(tmp_path: Path) -> None:
    import affectgpt as ag

    (tmp_path / "late.py").write_text(LATE)
    with pytest.raises(ag.ConfigError, match=r"'late' from (.|\n)*Thing"):
        ag.plan("tiny", "fusers.multi.plugin=late", plugins=[tmp_path / "late.py"])
    assert "'late'" not in str(ag.schema(plugins=[tmp_path / "late.py"]))
