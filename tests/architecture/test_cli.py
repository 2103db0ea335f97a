"""Commands parse options, call one public function and print: what their imports and syntax trees must not hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CLI = Path(__file__).resolve().parents[2] / "affectgpt" / "cli"
FILES = sorted(CLI.glob("*.py"))

# The public functions, errors and the text of messages, and modules of `cli/` that lay out terminal output.
OURS = {"affectgpt", "affectgpt.api", "affectgpt.registry.errors", "affectgpt.registry.messages"}
# Files, hashes, processes, configs, arrays.
FOREIGN = {
    *("glob", "hashlib", "mmap", "multiprocessing", "shutil", "sqlite3", "subprocess", "tempfile", "zipfile"),
    *("accelerate", "av", "cv2", "huggingface_hub", "numpy", "safetensors", "torch", "transformers"),
}
CALLS = {"compile", "eval", "exec", "input", "open", "__import__"}
METHODS = {
    *("open", "read_bytes", "read_text", "write_bytes", "write_text", "touch", "mkdir", "rmdir", "unlink", "rename"),
    *("glob", "rglob", "iterdir", "scandir", "listdir", "walk", "symlink_to", "hardlink_to", "makedirs", "remove"),
    *("hexdigest", "fork", "kill", "killpg", "system", "popen", "execv", "execvp", "spawnv", "Popen", "import_module"),
}


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of the code that runs: not the body of `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if not is_for_type_checkers(node):
            yield node
            yield from run_nodes(node)


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module is not None, "relative import"
        # `from affectgpt import core` imports a module as `import affectgpt.core` does.
        folders = CLI.parent if node.module == "affectgpt" else None
        modules = [alias.name for alias in node.names if folders and (folders / alias.name).is_dir()]
        return [f"affectgpt.{name}" for name in modules] or [node.module]
    return []


def problem_of_import(module: str) -> str | None:
    room, _, _ = module.partition(".")
    if room == "affectgpt" and module not in OURS and not f"{module}.".startswith("affectgpt.cli."):
        return f"imports {module}"
    return f"imports {module}" if room in FOREIGN else None


def problem_of_call(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Name) and node.func.id in CALLS:
        return f"calls {node.func.id}()"
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in METHODS:
        return None
    if node.args and ast.unparse(node.args[0]) == "os.devnull":
        # Where standard output goes when its reader has left.
        return None
    owner = node.func.value
    # `re.compile` and the like are no files; functions of the package do the work that they are named for.
    if isinstance(owner, ast.Name) and owner.id in {"api", "re"}:
        return None
    return f"calls {ast.unparse(node.func)}()"


def problems_of(text: str) -> list[str]:
    problems = []
    for node in run_nodes(ast.parse(text)):
        messages = [problem_of_import(module) for module in imported_modules(node)]
        messages.append(problem_of_call(node) if isinstance(node, ast.Call) else None)
        problems += [f"line {node.lineno}: {message}" for message in messages if message]  # type: ignore[attr-defined]
    return problems


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_command_only_parses_calls_and_prints(path: Path) -> None:
    assert problems_of(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from affectgpt.core.plan import make_plan",
        "from affectgpt import core",
        "import affectgpt.training.loop",
        "def command():\n    from affectgpt.data.samples import read_samples",
        "import torch",
        "def command():\n    import torch.nn",
        "import subprocess",
        "open('a')",
        "path.read_text()",
        "[each for each in folder.rglob('*')]",
        "os.kill(1, 9)",
        "digest.hexdigest()",
        "importlib.import_module('torch')",
    ],
)
def test_what_a_command_must_not_do_is_noticed(line: str) -> None:
    assert problems_of(line)


@pytest.mark.parametrize(
    "line",
    [
        "from affectgpt import api",
        "from affectgpt.cli.printable import printable",
        "from affectgpt.registry.errors import ConfigError",
        "os.open(os.devnull, os.O_WRONLY)",
        "if TYPE_CHECKING:\n    from affectgpt.core.description import Description",
        "api.load('tiny')",
        "sys.stdout.write('text')",
        "text.replace('a', 'b')",
    ],
)
def test_what_a_command_may_do_is_no_problem(line: str) -> None:
    assert problems_of(line) == []
