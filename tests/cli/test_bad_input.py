"""Bad pipeline files, plugins and command lines: errors that say what and where, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).resolve().parents[2] / "configs" / "tiny.yaml"
PLUGIN = """\
from affectgpt import FuserConfig, fuser
class OneConfig(FuserConfig): ...
@fuser("one", config=OneConfig)
class One: ...
"""
HOOK = "from affectgpt import hookimpl\n@hookimpl\ndef {}: ...\n"


# -- pipeline files


SIX_MISTAKES = """\
sead: 3
encoders: {face: {frames: many}, audio: {plugin: timm-mell}}
fusers: {face_tokens: {inputs: []}}
generation: {max_new_tokens: -1}
training: {epochs: 4}
"""


def test_six_mistakes(workspace: Any, refused: Callable) -> None:
    shows = ("mine.yaml:3 (encoders.face.frames)", "did you mean 'seed'", "did you mean 'timm-mel'", "training.epochs")
    more = ("fusers.face_tokens.inputs", "generation.max_new_tokens")
    refused(["check", workspace.pipeline(SIX_MISTAKES)], *shows, *more, errors=6)


def test_no_such_pipeline(workspace: Any, refused: Callable) -> None:
    refused(["check", "nope.yaml"], "nope.yaml", "no such file")


def test_a_folder_for_a_pipeline(workspace: Any, refused: Callable) -> None:
    refused(["check", "."], "this is a folder")


def test_no_yaml(workspace: Any, refused: Callable) -> None:
    refused(["check", workspace.write("mine.yaml", "a: [")], "mine.yaml:", "not valid YAML")


def test_binary_pipeline(workspace: Any, refused: Callable) -> None:
    refused(["check", workspace.write("mine.yaml", b"\xff\xfe\x00")], "mine.yaml", "UTF-8")


def test_an_unused_node(workspace: Any, refused: Callable) -> None:
    refused(
        ["check", workspace.pipeline("prompt: {template: affectgpt, order: [face_tokens, audio_tokens]}")],
        "'multi' is computed but nothing uses it",
    )


def test_an_override_without_value(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--set", "seed"], "--set seed", "key.path=value")


def test_an_override_out_of_range(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--set", "seed=-1"], "--set seed=-1", "greater than or equal to 0")


def test_an_override_of_nothing(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--set", "training.stepz=3"], "--set training.stepz=3", "did you mean 'steps'")


def test_an_override_with_an_unknown_plugin(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--set", "fusers.face_tokens.plugin=meen"], "'meen'", "did you mean 'mean'")


def test_a_value_that_is_not_finite(workspace: Any, refused: Callable) -> None:
    for value in (".inf", ".nan"):
        refused(["check", str(TINY), "--set", f"training.lr={value}"], "training.lr", "finite")
    refused(["check", str(TINY), "--set", "encoders.audio.seconds=.inf"], "encoders.audio.seconds", "finite")


def test_a_pipe_or_a_device_for_a_pipeline(workspace: Any, refused: Callable) -> None:
    os.mkfifo(workspace.root / "mine.yaml")
    # Nobody writes into the pipe: to open it would take for ever.
    for path in ("mine.yaml", "/dev/zero"):
        refused(["check", path], path, "a device or a pipe")


def test_a_name_that_is_too_long(workspace: Any, refused: Callable) -> None:
    name = "n" * 300
    for arguments in (["check", name], workspace.describe(name), workspace.train(name), ["synth", name]):
        refused(arguments, name, "too long")
    refused(["check", str(TINY), "--plugin", f"{name}.py"], name, "too long")


def test_a_pipeline_that_may_not_be_read(workspace: Any, refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace.write("mine.yaml", "seed: 1\n")
    may_open = Path.open

    def denies(self: Path, *arguments: Any, **options: Any) -> Any:
        if str(self) == path:
            raise PermissionError(13, "Permission denied", path)
        return may_open(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", denies)
    refused(["check", path], "mine.yaml", "Permission denied")


# -- plugins


def test_plugin_file_missing(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--plugin", "gone.py"], "there is no plugin file 'gone.py'")


def test_plugin_module_missing(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--plugin", "no.such.module"], "no.such.module")


def test_plugin_file_that_fails(workspace: Any, refused: Callable) -> None:
    refused(workspace.plugin("\n1 / 0\n"), "mine.py:2", "ZeroDivisionError")


@pytest.mark.parametrize("ends", ["raise SystemExit", "import sys; sys.exit(0)"])
def test_plugin_that_ends_the_program(
    ends: str, workspace: Any, refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(workspace.plugin(f"\n{ends}\n"), "mine.py:2", "SystemExit")
    monkeypatch.syspath_prepend(workspace.root)
    workspace.write("quits_at_once.py", ends)
    refused(["check", str(TINY), "--plugin", "quits_at_once"], "'quits_at_once'", "SystemExit")
    declares = HOOK.format("affectgpt_plugins()").replace("...", f"\n    {ends}")
    refused(workspace.plugin(declares), "affectgpt_plugins()", "SystemExit")


def test_plugin_file_with_a_syntax_error(workspace: Any, refused: Callable) -> None:
    refused(workspace.plugin("def (:\n", "plugins"), "mine.py:1", "SyntaxError")


def test_plugin_file_of_the_pipeline_that_fails(workspace: Any, refused: Callable) -> None:
    workspace.write("mine.py", "\n1 / 0\n")
    refused(["check", workspace.pipeline("plugins: [./mine.py]")], "mine.yaml:2", "mine.py:2", "ZeroDivisionError")


def test_plugin_file_that_declares_nothing(workspace: Any, refused: Callable) -> None:
    refused(workspace.plugin("x = 1\n", "schema"), "declares no plugin")


def test_plugin_with_a_malformed_name(workspace: Any, refused: Callable) -> None:
    refused(workspace.plugin(PLUGIN.replace('"one"', '"One Two"')), "malformed", "'One Two'")


def test_misspelt_hook(workspace: Any, refused: Callable) -> None:
    refused(
        workspace.plugin(HOOK.format("affectgpt_afterrun(command)")),
        "affectgpt_afterrun",
        "did you mean 'affectgpt_after_run'",
    )


def test_hook_with_wrong_arguments(workspace: Any, refused: Callable) -> None:
    refused(workspace.plugin(HOOK.format("affectgpt_after_run(colour)")), "wrong arguments", "colour")


def test_two_plugins_of_one_name(workspace: Any, refused: Callable) -> None:
    first, second = workspace.write("first.py", PLUGIN), workspace.write("second.py", PLUGIN)
    refused(
        ["check", str(TINY), "--plugin", first, "--plugin", second],
        "two plugins are named fuser 'one'",
        "first.py",
        "second.py",
    )


def test_unknown_plugin_to_show(workspace: Any, refused: Callable) -> None:
    refused(["plugins", "show", "meen"], "there is no plugin 'meen'", "did you mean 'mean'")


# -- the terminal itself


def test_other_files_where_clips_go(workspace: Any, refused: Callable) -> None:
    workspace.write("folder/thesis.txt", "years of work")
    refused(["synth", "folder", "--clips", "1", "--workers", "1"], "thesis.txt")


def test_unknown_option(workspace: Any, refused: Callable) -> None:
    refused(["check", str(TINY), "--bogus"], "--bogus")


def test_unknown_command(workspace: Any, refused: Callable) -> None:
    refused(["dscribe", "x.mp4"], "dscribe")


def test_number_out_of_range(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe("x.mp4", "--batch-size", "0"), "--batch-size")


def test_option_missing(workspace: Any, refused: Callable) -> None:
    refused(["train", str(TINY), "--data", "data"], "--out")


PROCESSES = {
    "no_such_pipeline": ["check", "nope.yaml"],
    "unknown_option": ["check", "x.yaml", "--bogus"],
    "no_data": ["train", str(TINY), "--data", "gone", "--out", "out"],
}


@pytest.mark.parametrize(
    "name", ["no_such_pipeline", "unknown_option", pytest.param("no_data", marks=pytest.mark.slow)]
)
def test_the_real_command_ends_with_2(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "affectgpt.cli.main", *PROCESSES[name]]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2 and "Traceback" not in result.stderr and result.stdout == "" and result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("position", [0, 2])
def test_debug_shows_the_traceback_wherever_it_stands(position: int, tmp_path: Path) -> None:
    arguments = ["check", "nope.yaml"]
    arguments.insert(position, "--debug")
    result = subprocess.run(
        [sys.executable, "-m", "affectgpt.cli.main", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode != 0 and "Traceback" in result.stderr and "no such file" in result.stderr


def test_a_fault_of_ours_is_one_line_and_1(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgpt import api

    def fails(catalog: object) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(api, "schema", fails)
    outcome = run("schema")
    assert outcome.code == 1 and outcome.errors == 1 and "Traceback" not in outcome.err
    assert "ZeroDivisionError: a slip" in outcome.err and "--debug" in outcome.err
