"""Module paths and names of earlier releases work, with a warning that names the new ones."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from affectgpt._moved import FUNCTIONS, MODULES, NAMES, find_new_path

# Every import in the guides, examples, templates and scripts written for 0.1.0, found with grep.
RECORDED = (Path(__file__).parent / "earlier" / "0.1.0" / "imports.txt").read_text(encoding="utf-8").splitlines()
IMPORT = re.compile(r"^\s*((?:from|import) affectgpt\b[^#\n;]*)", re.MULTILINE)


@pytest.fixture(autouse=True)
def _import_anew() -> Iterator[None]:
    """Forget forwarding modules, because a module warns when it is imported first."""
    old_folders = {f"affectgpt.{name}" for name in FUNCTIONS}
    for name in [name for name in sys.modules if find_new_path(name) and name not in old_folders]:
        del sys.modules[name]
    yield


def run_import(statement: str) -> tuple[dict[str, object], list[str]]:
    """The names that `statement` binds, and the deprecation warnings of this package."""
    names: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(statement, names)
    names.pop("__builtins__")
    return names, [str(item.message) for item in caught if str(item.message).startswith("affectgpt.")]


def imported_module(statement: str) -> str:
    return statement.split()[1]


@pytest.mark.parametrize("statement", RECORDED)
def test_an_import_written_for_0_1_0_works(statement: str) -> None:
    names, messages = run_import(statement)
    module = imported_module(statement)
    new = find_new_path(module)
    assert names and all(value is not None for value in names.values())
    if new is not None:
        assert f"{module}: use {new}; goes in 0.3" in messages
    elif not any(f"{module}.{name}: use" in message for name in names for message in messages):
        assert not messages


def test_the_imports_of_the_reference_scripts_work(shared: Path) -> None:
    files = [path for folder in ("cases", "kernels", "cues") for path in sorted((shared / folder).rglob("*.py"))]
    statements = {found.strip() for path in files for found in IMPORT.findall(path.read_text(encoding="utf-8"))}
    assert len(statements) > 20
    for statement in sorted(statements):
        assert run_import(statement)[0], statement


@pytest.mark.parametrize("old", sorted(MODULES))
def test_an_old_path_is_free_and_its_new_path_is_a_module(old: str) -> None:
    new = f"affectgpt.{MODULES[old]}"
    assert find_spec(new) is not None
    folder = Path(import_module("affectgpt").__path__[0]).joinpath(*old.split("."))
    assert not folder.with_suffix(".py").exists() and not (folder / "__init__.py").exists()


@pytest.mark.parametrize(
    ("old", "name", "new"), [(old, name, new) for old in NAMES for name, new in NAMES[old].items()]
)
def test_an_old_name_is_the_object_of_the_new_name(old: str, name: str, new: str) -> None:
    path, _, attribute = new.partition(":")
    names, messages = run_import(f"from affectgpt.{old} import {name}")
    assert names[name] is getattr(import_module(f"affectgpt.{path}"), attribute)
    assert messages


def test_modules_of_a_moved_package_are_those_at_the_new_path() -> None:
    names, messages = run_import("from affectgpt.data.synthetic import clips")
    assert names["clips"].Difficulty is import_module("affectgpt.synthetic.clips").Difficulty  # type: ignore[attr-defined]
    assert messages[0] == "affectgpt.data.synthetic: use affectgpt.synthetic; goes in 0.3"


def test_the_warning_points_at_the_import() -> None:
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        exec(compile("import affectgpt.data.clip_list", "user.py", "exec"), {})
    assert [item.filename for item in recorded if "clip_list" in str(item.message)] == ["user.py"]


@pytest.mark.parametrize("name", ["affectgpt.nothing", "affectgpt.core.nothing", "affectgpt.data.synthetic.nothing"])
def test_a_module_that_never_was_is_not_found(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ModuleNotFoundError, match=re.escape(name)):
            import_module(name)


@pytest.mark.parametrize(
    "statement",
    [
        "import affectgpt.kernels.cross_modal_attention",
        pytest.param("import affectgpt.kernels.cross_modal_attention.reference", marks=pytest.mark.slow),
        pytest.param("import affectgpt.kernels.absorbed_cross_modal_attention.fold", marks=pytest.mark.slow),
        pytest.param(
            "from affectgpt.kernels.absorbed_cross_modal_attention import Fold, FusionWeights", marks=pytest.mark.slow
        ),
    ],
)
def test_the_operators_stay_functions_after_an_import_from_their_old_folders(statement: str) -> None:
    code = (
        f"{statement}\n"
        "from affectgpt.kernels import absorbed_cross_modal_attention, cross_modal_attention\n"
        "assert absorbed_cross_modal_attention.__kwdefaults__ and cross_modal_attention.__kwdefaults__"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_an_old_folder_of_an_operator_warns_when_a_name_is_taken_from_it() -> None:
    names, messages = run_import("from affectgpt.kernels.absorbed_cross_modal_attention import Fold")
    assert names["Fold"] is import_module("affectgpt.kernels.absorbed_cross_modal").Fold
    old, new = "affectgpt.kernels.absorbed_cross_modal_attention", "affectgpt.kernels.absorbed_cross_modal"
    assert set(messages) == {f"{old}: use {new}; goes in 0.3"}


def test_a_name_replaced_in_a_module_at_its_old_path_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = import_module("affectgpt.kernels.cross_modal_attention.api")
    monkeypatch.setattr(old, "why_not_triton", str)
    assert import_module("affectgpt.kernels.cross_modal.api").why_not_triton is str
