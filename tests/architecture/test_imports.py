"""Who may import whom, what costs no torch, and how files are named."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "affectgpt"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}
LOW_ROOMS = ("registry", "core", "media", "files", "workers", "bundled", "kernels", "lexicon", "data", "unibench")
GROUP = "affectgpt.plugins"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in `folder`, with the contracts of the pyproject.toml there."""
    script = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", script, "--no-cache", "--no-logo", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def run_python(script: str) -> None:
    outcome = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, outcome.stdout[-500:] + outcome.stderr


# -- who imports whom


def test_the_contracts_are_kept() -> None:
    pytest.importorskip("importlinter")
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


FORBIDDEN = {
    "up: core imports data": ("core/prompt.py", "def late():\n    import affectgpt.data.samples", "layers"),
    "sideways: core imports media": ("core/prompt.py", "import affectgpt.media.clip", "layers"),
    "a room without a layer": ("tomorrow/__init__.py", "", "layers"),
    "plugins are imported": ("serving/describe.py", "import affectgpt.plugins.fusers.mean", "plugins and commands"),
    "plugins use what others cannot": ("plugins/fusers/mean.py", "import affectgpt.files.npz", "plugins import only"),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, case: str) -> None:
    pytest.importorskip("importlinter")
    file, line, contract = FORBIDDEN[case]
    shutil.copytree(PACKAGE, tmp_path / "affectgpt", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / "affectgpt" / file
    changed.parent.mkdir(exist_ok=True)
    changed.write_text((changed.read_text() if changed.exists() else "") + f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode != 0
    text = " ".join(result.stdout.partition("Contracts: ")[0].split())
    broken = [name for name, verdict in re.findall(r"(\S.*?) (KEPT|BROKEN)", text) if verdict == "BROKEN"]
    assert [name for name in broken if contract in name] == broken != [], result.stdout


def strings_that_name_plugins(path: Path) -> list[str]:
    """`file:line` of each text in the code that names a plugin module (the entry-point group is not one)."""
    strings = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(GROUP):
            is_group = path == PACKAGE / "registry" / "discovery.py" and node.value == GROUP
            if not is_group:
                strings.append(f"{path}:{node.lineno}")
    return strings


@pytest.mark.parametrize("room", LOW_ROOMS)
def test_no_text_names_a_plugin_module(room: str) -> None:
    inside = [path for path in FILES if path.is_relative_to(PACKAGE / room)]
    assert [place for path in inside for place in strings_that_name_plugins(path)] == []


def test_a_text_that_names_a_plugin_module_is_found(tmp_path: Path) -> None:
    path = tmp_path / "sneaky.py"
    path.write_text("import importlib\nimportlib.import_module('affectgpt.plugins.fusers.mean')\n")
    assert strings_that_name_plugins(path) == [f"{path}:2"]


@pytest.mark.parametrize("room", LOW_ROOMS)
def test_low_rooms_do_not_import_by_the_front_door(room: str) -> None:
    """`from affectgpt import Clip` loads lazily by name, which no import graph shows."""
    for path in FILES:
        if path.is_relative_to(PACKAGE / room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.ImportFrom) and node.module == "affectgpt"), f"{path}:{node.lineno}"


# -- what costs no torch


def test_importing_the_package_costs_neither_torch_nor_numpy() -> None:
    run_python("import sys, affectgpt; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)")


LIGHT = {
    "plugins": ["plugins"],
    "check": ["check", "configs/affectgpt-paper.yaml"],
    "check tiny": ["check", "configs/tiny.yaml", "--json"],
    "plugins show": ["plugins", "show", "modality-attention"],
    "schema": ["schema"],
    "score": ["score", "TEXTS.jsonl", "--truth", "LABELS.jsonl", "--task", "fine-grained", "--json"],
    "help": ["--help"],
}
HEAVY = {"torch", "transformers", "timm", "torchaudio", "av", "cv2", "accelerate", "peft"}


def test_a_command_that_only_looks_costs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "TEXTS.jsonl").write_text('{"id": "a", "text": "He is happy and not sad."}\n')
    (tmp_path / "LABELS.jsonl").write_text('{"id": "a", "labels": ["happy"]}\n')
    commands = {
        name: [str(tmp_path / word) if word.endswith(".jsonl") else word for word in words]
        for name, words in LIGHT.items()
    }
    run_python(
        f"""
import sys
from affectgpt.cli.main import main
for name, words in {commands!r}.items():
    sys.argv = ["affectgpt", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (name, end.code)
    loaded = {HEAVY!r} & set(sys.modules)
    assert not loaded, (name, loaded)
    assert "rich" not in sys.modules or name not in ("plugins", "check", "check tiny")
"""
    )


def test_a_model_of_the_hub_is_looked_up_without_torch() -> None:
    run_python("import sys, affectgpt.hub.loading\nassert not {'torch', 'transformers'} & set(sys.modules)")


# -- names and sizes


def test_every_public_name_resolves() -> None:
    import affectgpt

    assert len(affectgpt.__all__) == len(set(affectgpt.__all__)) > 10
    for name in affectgpt.__all__:
        assert getattr(affectgpt, name) is not None
    assert set(affectgpt.__all__) <= set(dir(affectgpt))
    with pytest.raises(AttributeError, match="no_such_name"):
        affectgpt.no_such_name  # noqa: B018


@pytest.mark.parametrize("package", ["affectgpt", "affectgpt.api"])
def test_the_public_names_of_the_type_checker_are_those_of_the_run(package: str) -> None:
    module = import_module(package)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        names.update({alias.asname: node.module.removeprefix(f"{package}.") for alias in node.names})
    assert names == module._MODULE_OF


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_named_by_its_idea_and_fits_on_a_few_screens(path: Path) -> None:
    assert not {path.stem, *path.parent.relative_to(ROOT).parts} & NAMELESS
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
