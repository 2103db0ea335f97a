"""Standard output that is full, closed or not read is told by every command; what plugins print is in no result."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from affectgpt.cli.main import application

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "configs" / "tiny.yaml")
KINDS = ("full", "limited", "closed", "unread")
Start = Callable[..., Any]


def commands() -> Iterator[tuple[str, ...]]:
    """The names of every command, those of the groups included."""
    queue: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(application()))]
    while queue:
        names, command = queue.pop()
        yield names
        queue += [((*names, name), child) for name, child in getattr(command, "commands", {}).items()]


COMMANDS = sorted(commands())
HELP = [(*names, "--help") for names in COMMANDS]
# What is quick and needs nothing but this repository.
RESULTS = [
    ("check", TINY),
    ("check", TINY, "--json"),
    ("check", "nothing.yaml", "--json"),
    ("env", "--json"),
    ("plugins",),
    ("plugins", "--json"),
    ("plugins", "show", "mean"),
    ("schema",),
    ("weights", "list"),
    ("--version",),
]


def spread(rows: list[tuple[str, ...]]) -> list[Any]:
    """Each of `rows` with each kind of broken output, buffered and not; of every other one, one of these is quick."""
    return [
        pytest.param(
            row,
            kind,
            unbuffered,
            marks=() if 2 * (2 * KINDS.index(kind) + unbuffered) == number % 16 else pytest.mark.slow,
            id="-".join([*(word.rpartition("/")[2] for word in row), kind, "unbuffered" if unbuffered else "buffered"]),
        )
        for number, row in enumerate(rows)
        for kind in KINDS
        for unbuffered in (False, True)
    ]


@pytest.mark.parametrize(("arguments", "kind", "unbuffered"), spread([*HELP, *RESULTS]))
def test_output_that_cannot_be_written_is_an_error(
    arguments: tuple[str, ...], kind: str, unbuffered: bool, start: Start, tmp_path: Path
) -> None:
    child = start(*arguments, stdout=kind, unbuffered=unbuffered)
    assert child.wait() == 1, child.err()
    if kind == "unread":
        assert child.err() == ""
    else:
        assert "error: standard output: the result could not be written" in child.err()
    assert "Traceback" not in child.err() and "--debug" not in child.err()


@pytest.mark.parametrize("stderr", ["full", "closed", "unread"])
@pytest.mark.parametrize(
    "arguments", [("check", TINY), ("check", "nothing.yaml"), ("nothing",), ("plugins", "--nothing")]
)
def test_messages_that_cannot_be_written_are_dropped(arguments: tuple[str, ...], stderr: str, start: Start) -> None:
    child = start(*arguments, stderr=stderr)
    assert child.wait() == (0 if arguments == ("check", TINY) else 2)
    assert bool(child.out()) == (arguments == ("check", TINY))


def test_nothing_is_needed_but_the_exit_code(start: Start) -> None:
    child = start("check", TINY, stdout="closed", stderr="closed", stdin="closed")
    assert child.wait() == 1


def test_a_whole_output_is_no_error(start: Start) -> None:
    for unbuffered in (False, True):
        child = start("schema", unbuffered=unbuffered)
        assert child.wait() == 0 and json.loads(child.out()) and child.err() == ""


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_python_itself_ends_with_the_same_code(options: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, *options, "-m", "affectgpt", "schema"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_288, 12_288))

    with (tmp_path / "cut.json").open("wb") as file:
        process = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, preexec_fn=limit, timeout=120)
    assert process.returncode == 1 and process.stderr.startswith(b"error: standard output: ")
    assert b"Exception ignored" not in process.stderr


# -- plugins

NOISY = """
import atexit, os, sys
import numpy
from affectgpt import FuserConfig, TokenSpec, fuser, hookimpl

def noise(where):
    print("python", where)
    os.system("echo program " + where)
    os.write(1, b"handle\\n")

noise("import")
atexit.register(print, "end")

class NoisyConfig(FuserConfig):
    arity = (1, 1)

    def model_post_init(self, context):
        noise("validation")

    def infer(self, inputs):
        noise("infer")
        (only,) = inputs.values()
        return TokenSpec(modality=only.modality, dim=only.dim, tokens=1)

@fuser("noisy", config=NoisyConfig, summary="prints")
class Noisy:
    pass

@hookimpl
def affectgpt_before_run(command):
    noise("hook")
"""
NOISY_PIPELINE = f"""
extends: {TINY}
fusers: {{multi: {{plugin: noisy, inputs: [face]}}}}
"""


def test_what_a_plugin_prints_is_no_part_of_the_result(tmp_path: Path, start: Start) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "noisy.yaml").write_text(NOISY_PIPELINE)
    child = start("check", "noisy.yaml", "--plugin", "noisy.py", "--json")
    assert child.wait() == 0, child.err()
    assert json.loads(child.out())["nodes"]
    for way in ("python", "program"):
        for where in ("import", "validation", "infer"):
            assert f"{way} {where}\n" in child.err()
    assert "handle\n" in child.err() and "end\n" in child.err()


def test_a_command_of_a_plugin_prints_its_own_result(tmp_path: Path) -> None:
    script = """
import os, sys, typer
from types import ModuleType
from affectgpt.cli import main
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.hooks import hookimpl
from affectgpt.registry.spec import Origin
module = ModuleType("theirs")
@hookimpl
def affectgpt_cli(app):
    @app.command("greet")
    def greet():
        print("hello")
        sys.stdout.flush()
        os.system("echo program")
module.affectgpt_cli = affectgpt_cli
catalog = Catalog()
catalog.add_module(module, Origin("theirs", "1"))
main.api.discover = lambda: catalog
sys.argv = ["affectgpt", "greet"]
main.run_process()
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stdout, process.stderr) == (0, "hello\nprogram\n", "")


WAYS = {
    "BaseException": "raise BaseException('odd')",
    "SystemExit": "raise SystemExit(0)",
    "exit": "exit()",
    "sys.exit": "import sys; sys.exit('no')",
    "GeneratorExit": "raise GeneratorExit",
    "own": "class Own(BaseException): ...\nraise Own('odd')",
}
PLACES = {
    "import": "{way}",
    "hook": "@hookimpl\ndef affectgpt_plugins():\n    {indented}",
    "infer": "class C(FuserConfig):\n    def infer(self, inputs):\n        {indented}\n"
    "@fuser('mine', config=C, summary='s')\nclass M: pass",
    "parameters": "class C(FuserConfig):\n    def infer(self, inputs): return next(iter(inputs.values()))\n"
    "    def parameters(self, inputs):\n        {indented}\n"
    "@fuser('mine', config=C, summary='s')\nclass M: pass",
    "validator": "class C(FuserConfig):\n    def model_post_init(self, context):\n        {indented}\n"
    "@fuser('mine', config=C, summary='s')\nclass M: pass",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_a_plugin_that_ends_the_process_is_an_error_that_names_it(
    way: str, place: str, run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    indented = WAYS[way].replace("\n", "; ") if way != "own" else "raise type('Own', (BaseException,), {})('odd')"
    code = PLACES[place].format(way=WAYS[way], indented=indented)
    (tmp_path / "mine.py").write_text(f"from affectgpt import FuserConfig, fuser, hookimpl\n{code}\n")
    (tmp_path / "mine.yaml").write_text(f"extends: {TINY}\nfusers: {{multi: {{plugin: mine, inputs: [face]}}}}\n")
    outcome = run("check", "mine.yaml", "--plugin", "mine.py")
    assert outcome.code == 2 and outcome.out == "" and "Traceback" not in outcome.err, outcome.err
    assert "mine" in outcome.err.splitlines()[0], outcome.err
    assert "--debug" not in outcome.err


def test_ctrl_c_during_an_import_is_no_error_of_the_plugin(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise KeyboardInterrupt")
    assert run("check", TINY, "--plugin", tmp_path / "mine.py").code == 130


def test_what_ends_the_process_elsewhere_in_a_command_is_an_error(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object, **__: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("affectgpt.api.plan", end)
    outcome = run("check", TINY)
    assert outcome.code == 1 and "wanted to end the process" in outcome.err
