"""Finding plugins in packages, files and modules."""

from __future__ import annotations

import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import GROUP, discover, load_plugins_from
from affectgpt.registry.errors import PluginError

FUSER = """
from pydantic import BaseModel
from affectgpt.core.kinds import fuser

class Config(BaseModel): ...

@fuser("{name}", config=Config, summary="{name}")
class Fuser: ...
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def point(module: str) -> EntryPoint:
    return EntryPoint(name=module, value=module, group=GROUP)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_built_in_plugins_come_by_entry_point(catalog: Catalog) -> None:
    assert {"clip-vision", "speech", "timm", "open-clip", "mel"} <= set(catalog.names("encoder"))
    assert {"temporal-attention", "modality-attention", "mean", "concat"} <= set(catalog.names("fuser"))
    assert "causal-lm" in catalog.names("llm")
    assert catalog.broken == []
    assert catalog.get("fuser", "mean").origin.source == "affectgpt"


def test_every_built_in_config_and_target_can_be_imported(catalog: Catalog) -> None:
    for entry in catalog.entries.values():
        assert isinstance(catalog.config_class(entry), type)
        assert isinstance(catalog.target_class(entry), type)


def test_one_broken_package_leaves_the_others_usable(packages: Path) -> None:
    write(packages, "good_pkg_a", FUSER.format(name="good-a"))
    write(packages, "bad_pkg_b", "raise RuntimeError('broken on purpose')")
    write(packages, "bad_pkg_c", "import no_such_dependency")
    write(packages, "bad_pkg_d", "raise SystemExit(3)")
    write(packages, "good_pkg_e", FUSER.format(name="good-e"))
    names = ["good_pkg_a", "bad_pkg_b", "bad_pkg_c", "bad_pkg_d", "good_pkg_e"]
    catalog = discover(points=[point(name) for name in names])
    assert catalog.names("fuser") == ["good-a", "good-e"]
    assert {broken.name for broken in catalog.broken} == {"bad_pkg_b", "bad_pkg_c", "bad_pkg_d"}
    assert any("broken on purpose" in broken.cause for broken in catalog.broken)


def test_a_clash_of_two_packages_is_listed_and_the_name_refused(packages: Path) -> None:
    write(packages, "clash_one", FUSER.format(name="same"))
    write(packages, "clash_two", FUSER.format(name="same"))
    catalog = discover(points=[point("clash_one"), point("clash_two")])
    assert "two plugins" in catalog.broken[0].cause
    with pytest.raises(PluginError, match="two plugins"):
        catalog.get("fuser", "same")


def test_a_file_is_loaded_and_its_classes_resolve(tmp_path: Path) -> None:
    write(tmp_path, "mine", FUSER.format(name="mine"))
    catalog = Catalog()
    load_plugins_from(catalog, "./mine.py", tmp_path)
    entry = catalog.get("fuser", "mine")
    assert catalog.target_class(entry).__name__ == "Fuser"
    load_plugins_from(catalog, str(tmp_path / "mine.py"))
    assert catalog.names("fuser") == ["mine"]


def test_two_files_of_one_name_do_not_shadow_each_other(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "fuser", FUSER.format(name=f"from-{folder}"))
    catalog = Catalog()
    for folder in ("one", "two"):
        load_plugins_from(catalog, "./fuser.py", tmp_path / folder)
    assert catalog.names("fuser") == ["from-one", "from-two"]


def test_an_edited_file_is_run_again_and_former_classes_stay_usable(tmp_path: Path) -> None:
    path = write(tmp_path, "edited", FUSER.format(name="first").replace("Fuser: ...", "Fuser: size = 1"))
    catalog = Catalog()
    load_plugins_from(catalog, str(path))
    former = catalog.target_class(catalog.get("fuser", "first"))
    load_plugins_from(catalog, str(path))
    assert catalog.target_class(catalog.get("fuser", "first")) is former, "an unchanged file is not run again"
    write(tmp_path, "edited", FUSER.format(name="first").replace("Fuser: ...", "Fuser: size = 2"))
    with pytest.warns(UserWarning, match="defined again"):
        load_plugins_from(catalog, str(path))
    assert catalog.target_class(catalog.get("fuser", "first")).size == 2
    assert former().size == 1
    assert discover([str(path)], points=[]).names("fuser") == ["first"]


def test_a_plugin_that_an_edited_file_no_longer_holds_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path, "renamed", FUSER.format(name="old"))
    catalog = Catalog()
    load_plugins_from(catalog, str(path))
    write(tmp_path, "renamed", FUSER.format(name="new"))
    load_plugins_from(catalog, str(path))
    assert catalog.names("fuser") == ["new"]


def test_a_file_that_was_broken_by_an_edit_leaves_the_former_plugin(tmp_path: Path) -> None:
    path = write(tmp_path, "fragile", FUSER.format(name="fragile"))
    catalog = Catalog()
    load_plugins_from(catalog, str(path))
    write(tmp_path, "fragile", "1 / 0")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        load_plugins_from(catalog, str(path))
    assert catalog.target_class(catalog.get("fuser", "fragile")).__name__ == "Fuser"


@pytest.mark.parametrize(
    ("text", "cause", "line"),
    [("x = (", "SyntaxError", 1), ("\n\n1 / 0", "ZeroDivisionError", 3), ("import no_such_thing", "no_such_thing", 1)],
)
def test_a_broken_file_says_cause_and_line(tmp_path: Path, text: str, cause: str, line: int) -> None:
    path = write(tmp_path, "broken", text)
    with pytest.raises(PluginError) as caught:
        load_plugins_from(Catalog(), str(path))
    assert cause in str(caught.value) and f"broken.py:{line}" in str(caught.value)


def test_a_file_or_module_that_ends_the_program_is_an_error(packages: Path) -> None:
    write(packages, "ends_at_once", "import sys\nsys.exit()")
    for ref in ("ends_at_once", str(packages / "ends_at_once.py")):
        with pytest.raises(PluginError, match="SystemExit"):
            load_plugins_from(Catalog(), ref)


@pytest.mark.parametrize("ref", ["./absent.py", "no.such.module"])
def test_a_missing_file_or_module_is_an_error(ref: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"absent|no\.such\.module"):
        load_plugins_from(Catalog(), ref, tmp_path)


def test_a_module_can_be_named() -> None:
    catalog = Catalog()
    load_plugins_from(catalog, "affectgpt.plugins")
    assert "mean" in catalog.names("fuser")
    assert catalog.get("fuser", "mean").origin.source == "affectgpt"


def test_a_package_that_needs_torch_to_declare_itself_is_put_off_until_needed(packages: Path) -> None:
    import subprocess

    write(packages, "heavy_pkg", "import torch\n" + FUSER.format(name="heavy"))
    script = f"""
        import sys
        sys.path.insert(0, {str(packages)!r})
        from importlib.metadata import EntryPoint
        from affectgpt.registry.discovery import GROUP, discover
        catalog = discover(points=[EntryPoint(name="heavy", value="heavy_pkg", group=GROUP)])
        assert catalog.names("fuser") == [] and len(catalog.deferred) == 1 and catalog.broken == []
        assert "torch" not in sys.modules
        assert catalog.get("fuser", "heavy").spec.name == "heavy"
        assert "torch" in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
