"""What the commands print and leave behind when all is well; hooks around a run."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from affectgpt.cli import data
from affectgpt.cli import main as cli
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import ConfigError
from affectgpt.registry.hooks import hookimpl
from affectgpt.registry.spec import Origin

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs" / "tiny.yaml"
PAPER = ROOT / "configs" / "affectgpt-paper.yaml"
BUILT_IN = {("encoder", "timm"), ("fuser", "mean"), ("fuser", "modality-attention"), ("llm", "causal-lm")}


# -- looking


def test_plugins_lists_every_usable_plugin_with_its_origin(run: Callable) -> None:
    listed = json.loads(run("plugins", "--json").out)
    entries = {(option["kind"], option["name"]): option for option in listed["plugins"]}
    assert set(entries) == set(discover().entries) and set(entries) >= BUILT_IN
    assert entries["fuser", "mean"]["from"] == "affectgpt" and entries["fuser", "mean"]["version"]
    outcome = run("plugins")
    assert outcome.code == 0 and all(name in outcome.out for _, name in entries)


def test_plugins_of_a_file_are_listed_with_the_file(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from affectgpt import FuserConfig, fuser\n"
        "class MineConfig(FuserConfig): ...\n"
        "@fuser('mine', config=MineConfig, summary='a fuser of my own')\n"
        "class Mine: ...\n"
    )
    listed = json.loads(run("plugins", "--json", "--plugin", tmp_path / "mine.py").out)
    (mine,) = [option for option in listed["plugins"] if option["name"] == "mine"]
    assert mine["from"] == str(tmp_path / "mine.py") and mine["summary"] == "a fuser of my own"
    assert "mine" not in {option["name"] for option in json.loads(run("plugins", "--json").out)["plugins"]}


def test_a_plugin_of_a_file_is_shown(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from affectgpt import FuserConfig, fuser\n"
        "class MineConfig(FuserConfig): ...\n"
        "@fuser('mine', config=MineConfig, summary='a fuser of my own')\n"
        "class Mine: ...\n"
    )
    named = ("--plugin", tmp_path / "mine.py")
    for arguments in (("show", "mine", *named), (*named, "show", "mine"), (*named, "show", "mine", *named)):
        outcome = run("plugins", *arguments)
        assert outcome.code == 0 and "a fuser of my own" in outcome.out, outcome.err


def test_plugins_show_gives_interface_options_and_defaults(run: Callable) -> None:
    outcome = run("plugins", "show", "modality-attention")
    assert outcome.code == 0
    for words in ("2 or more inputs", "normalize", "softmax | none", "arXiv:2501.16566", "affectgpt"):
        assert words in outcome.out, words
    (facts,) = json.loads(run("plugins", "show", "mel", "--json").out)
    assert facts["kind"] == "encoder" and facts["options"]["n_mels"][0] == "64"
    assert facts["options"]["input"][0] == "(required)" and "audio" in facts["interface"]


@pytest.mark.parametrize("name", sorted({name for _, name in discover().entries}))
def test_every_plugin_can_be_shown(run: Callable, name: str) -> None:
    outcome = run("plugins", "show", name)
    assert outcome.code == 0 and name in outcome.out


def test_check_says_widths_tokens_and_parameters(run: Callable) -> None:
    outcome = run("check", PAPER)
    assert outcome.code == 0
    assert outcome.out.startswith(str(PAPER)) or str(PAPER) in "".join(outcome.out.split())
    for words in ("7,615,616,512", "40,370,176", "54,412,548", "clip-vision", "[1, 1024]", "32768", "3584"):
        assert words in outcome.out, words
    facts = json.loads(run("check", PAPER, "--json").out)
    nodes = {row["node"]: row for row in facts["nodes"]}
    assert nodes["multi"]["reads"] == ["face", "audio"] and nodes["face"]["trained"] == 0
    assert facts["prompt"]["order"][:4] == ["multi", "audio_tokens", "face_tokens", "subtitle"]
    assert facts["trained"] == sum(row["trained"] for row in facts["nodes"])


def test_check_with_a_swap_says_which_options_were_dropped(run: Callable, tmp_path: Path) -> None:
    path = tmp_path / "swapped.yaml"
    path.write_text(f"extends: {PAPER}\nfusers: {{multi: {{plugin: concat}}}}\n")
    outcome = run("check", path)
    assert outcome.code == 0 and "not kept: normalize" in outcome.out
    (multi,) = [row for row in json.loads(run("check", path, "--json").out)["nodes"] if row["node"] == "multi"]
    assert multi["plugin"] == "concat" and "[<=16, 1024]" in multi["gives"]


def test_check_writes_nothing(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check", TINY).code == run("plugins").code == run("schema").code == 0
    assert list(tmp_path.iterdir()) == []


# -- the schema, read by a validator small enough to trust


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether `value` fits a JSON Schema, as far as the keywords below go; any other keyword is left out."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kind = schema.get("type")
    if kind in types and not isinstance(value, types[kind]):
        return False
    if kind in ("integer", "number"):
        numeric = int if kind == "integer" else int | float
        if isinstance(value, bool) or not isinstance(value, numeric):
            return False
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            return False
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if "anyOf" in schema and not any(fits(value, option, root) for option in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(value, option, root) for option in schema["oneOf"]) != 1:
        return False
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties", True)
        if any(name not in value for name in schema.get("required", [])):
            return False
        for name, option in value.items():
            inner = properties.get(name, additional)
            if inner is False or (isinstance(inner, dict) and not fits(option, inner, root)):
                return False
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return False
        return all(fits(option, schema.get("items", {}), root) for option in value)
    return True


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown setting": lambda tree: tree.update(sead=1),
    "unknown plugin": lambda tree: tree["fusers"]["multi"].update(plugin="meen"),
    "a fuser where an encoder belongs": lambda tree: tree["encoders"]["audio"].update(plugin="mean"),
    "unknown option": lambda tree: tree["encoders"]["face"].update(framez=3),
    "value of another type": lambda tree: tree["encoders"]["face"].update(frames="many"),
    "value out of range": lambda tree: tree["training"].update(steps=0),
    "no inputs": lambda tree: tree["fusers"]["multi"].pop("inputs"),
    "no plugin": lambda tree: tree["llm"].pop("plugin"),
}


def test_the_schema_accepts_the_projects_files(run: Callable) -> None:
    schema = json.loads(run("schema").out)
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        assert fits(yaml.safe_load(path.read_text(encoding="utf-8")), schema, schema), path


@pytest.mark.parametrize("wrong", WRONG)
def test_the_schema_rejects_a_wrong_file(run: Callable, wrong: str) -> None:
    schema = json.loads(run("schema").out)
    tree = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    WRONG[wrong](tree)
    assert not fits(tree, schema, schema)


def test_the_schema_agrees_with_the_usual_validator(run: Callable) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(run("schema").out)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    tree = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    assert validator.is_valid(tree)
    WRONG["unknown option"](tree)
    assert not validator.is_valid(tree)


# -- working

HOOKS = """\
from affectgpt import hookimpl
import json, pathlib
HERE = pathlib.Path(__file__).parent / "calls.jsonl"

def note(*facts):
    with HERE.open("a") as file:
        file.write(json.dumps(facts) + "\\n")

@hookimpl
def affectgpt_before_run(command, config):
    note("before", command, sorted(config.encoders))

@hookimpl
def affectgpt_after_run(command, result):
    note("after", command, result)
"""


def test_train_saves_a_model_that_describe_loads_and_hooks_see_both(
    run: Callable, clips: Path, videos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)
    settings = ("training.steps=2", "training.warmup_steps=1", "training.batch_size=4", "generation.max_new_tokens=8")
    quick = [word for setting in settings for word in ("--set", setting)] + ["--plugin", tmp_path / "hooks.py"]
    out = tmp_path / "deep" / "model"
    trained = run("train", TINY, "--data", clips, "--out", out, *quick, "--json")
    assert trained.code == 0, trained.err
    result = json.loads(trained.out)
    assert result["model"] == str(out) and result["clips"] == 16 and result["steps"] == 2 and result["skipped"] == []
    assert (out / "model.safetensors").is_file() and (out / "pipeline.yaml").is_file()
    assert sorted(path.name for path in out.parent.iterdir()) == ["model", "model.run"]
    described = run("describe", videos[0], "--model", out, "--plugin", tmp_path / "hooks.py", "--json")
    assert described.code == 0, described.err
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [call[:2] for call in calls] == [
        ["before", "train"],
        ["after", "train"],
        ["before", "describe"],
        ["after", "describe"],
    ]
    assert calls[0][2] == ["audio", "face"] and calls[1][2] == result
    assert calls[3][2] == json.loads(described.out)


FAILING_HOOKS = """\
from affectgpt import hookimpl

@hookimpl
def affectgpt_before_run(command):
    raise ValueError("not before " + command)

@hookimpl
def affectgpt_after_run(command):
    raise SystemExit("not after " + command)
"""


def test_a_hook_that_fails_is_a_warning(
    run: Callable, model: Path, clips: Path, videos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "hooks.py").write_text(FAILING_HOOKS)
    settings = ("training.steps=1", "training.warmup_steps=0", "training.batch_size=2")
    quick = [word for setting in settings for word in ("--set", setting)]
    trained = run("train", TINY, "--data", clips, "--out", tmp_path / "out", *quick, "--plugin", tmp_path / "hooks.py")
    described = run("describe", videos[0], "--model", model, "--plugin", tmp_path / "hooks.py", "--json")
    for command, outcome in (("train", trained), ("describe", described)):
        assert outcome.code == 0, outcome.err
        warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: hook ")]
        assert len(warnings) == 2, outcome.err
        assert "affectgpt_before_run" in warnings[0] and f"ValueError: not before {command}" in warnings[0]
        assert "affectgpt_after_run" in warnings[1] and f"SystemExit: not after {command}" in warnings[1]
    assert json.loads(described.out)


def test_synth_writes_a_folder_that_train_reads(run: Callable, tmp_path: Path) -> None:
    from affectgpt.data.mer2025 import read_mer2025

    outcome = run("synth", tmp_path / "made", "--clips", 2, "--workers", 1, "--seed", 5, "--split", "test")
    assert outcome.code == 0 and "2 clips" in outcome.out
    examples = read_mer2025(tmp_path / "made")
    assert len(examples) == 2 and all(
        option.description and option.labels and option.video.is_file() for option in examples
    )


# -- commands of others


def test_a_hook_adds_a_command(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("their_commands")

    @hookimpl
    def affectgpt_cli(app: typer.Typer) -> None:
        @app.command("greet")
        def greet(name: str) -> None:
            typer.echo(f"hello {name}")

    module.affectgpt_cli = affectgpt_cli  # type: ignore[attr-defined]
    catalog = Catalog()
    catalog.add_module(module, Origin("their-package", "1.0"))
    monkeypatch.setattr(cli.api, "discover", lambda: catalog)
    outcome = run("greet", "you")
    assert (outcome.code, outcome.out) == (0, "hello you\n")
    assert "greet" in run("--help").out


def test_a_word_that_is_no_command_or_no_option_gets_the_whole_list(run: Callable) -> None:
    unknown = run("describ")
    assert unknown.code == 2 and "No such command" in unknown.err
    everything = run("--help").out
    assert run("--help", "check").out == everything
    assert {"check", "describe", "env", "plugins", "serve-embeds"} <= set(everything.split())


def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "affectgpt", "plugins", "--json"]
    process = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(theirs)
    assert process.returncode == 1 and process.stderr == ""


def test_a_hook_finds_every_command(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("their_commands")

    @hookimpl
    def affectgpt_cli(app: typer.Typer) -> None:
        (data,) = [group.typer_instance for group in app.registered_groups if group.name == "data"]
        assert data is not None

        @data.command("greet")
        def greet() -> None:
            typer.echo("hello")

    module.affectgpt_cli = affectgpt_cli  # type: ignore[attr-defined]
    catalog = discover()
    catalog.add_module(module, Origin("their-package", "1.0"))
    monkeypatch.setattr(cli.api, "discover", lambda: catalog)
    monkeypatch.setattr(data.app, "registered_commands", list(data.app.registered_commands))
    assert run("plugins", "--json").code == 0 and not catalog.broken
    assert run("data", "greet").out == "hello\n"


def test_a_command_imports_no_other_command() -> None:
    script = """
import sys
from affectgpt.cli.main import main
sys.argv = ["affectgpt", "plugins", "--json"]
try:
    main()
except SystemExit:
    names = {name for name in sys.modules if name.startswith("affectgpt.cli.")}
    print(sorted(names), file=sys.stderr)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    parts = ("arguments", "main", "options", "plugins", "printable", "signals", "standard_streams")
    assert process.stderr.strip() == str([f"affectgpt.cli.{part}" for part in parts])


def test_what_a_plugin_holds_at_the_end_of_the_process_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from affectgpt import FuserConfig, fuser\n"
        "class MineConfig(FuserConfig): ...\n"
        "@fuser('mine', config=MineConfig, summary='mine')\n"
        f"class Mine:\n    log = open({str(tmp_path / 'log.txt')!r}, 'w')\n"
        "Mine.log.write('a row')\n"
    )
    command = [sys.executable, "-m", "affectgpt", "plugins", "--plugin", str(tmp_path / "mine.py")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "log.txt").read_text() == "a row"


def test_garbage_is_collected_from_the_beginning_of_a_command_on(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import gc\nassert gc.isenabled()\n")
    gc.disable()
    try:
        outcome = run("plugins", "--plugin", tmp_path / "mine.py")
    finally:
        gc.enable()
    assert "AssertionError" not in outcome.err and "declares no" in outcome.err, outcome.err


def test_an_error_names_options_also_of_another_command(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConfigError("refused", where="revision", hint="pass plugins=, or bert=, or set nothing_of_ours=1")

    monkeypatch.setattr("affectgpt.api.plan", refuse)
    outcome = run("check", TINY)
    assert outcome.code == 2 and "pass --plugin, or --bert, or set nothing_of_ours=1" in outcome.err
    assert "error: --revision: refused" in outcome.err


def test_an_error_of_a_plugin_s_command_names_its_options(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("greeting")

    @hookimpl
    def affectgpt_cli(app: typer.Typer) -> None:
        @app.command("greet")
        def greet(loudness: int = 1) -> None:
            raise ConfigError("refused", where="loudness", hint="pass loudness=2, or set nothing_of_ours=1")

    module.affectgpt_cli = affectgpt_cli  # type: ignore[attr-defined]
    catalog = discover()
    catalog.add_module(module, Origin("greeting"))
    monkeypatch.setattr(cli.api, "discover", lambda: catalog)
    outcome = run("greet")
    assert outcome.code == 2 and "error: --loudness: refused" in outcome.err
    assert "pass --loudness 2, or set nothing_of_ours=1" in outcome.err


def test_the_version_is_that_of_the_distribution(run: Callable) -> None:
    from importlib.metadata import version

    outcome = run("--version")
    assert (outcome.code, outcome.out.strip()) == (0, f"affectgpt {version('affectgpt')}")


def test_a_report_of_a_problem_names_versions_and_plugins(run: Callable) -> None:
    import json

    import torch

    outcome = run("env")
    assert outcome.code == 0 and f"torch {torch.__version__.split('+')[0]}" in outcome.out
    assert outcome.out.startswith("affectgpt") and "of kind fuser" in outcome.out
    assert json.loads(run("env", "--json").out)["devices"][0].startswith("CPU")


def test_python_runs_the_package_as_the_command() -> None:
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-m", "affectgpt", "--version"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0 and result.stdout.startswith("affectgpt ")


def test_a_program_that_the_command_starts_has_the_environment_that_the_user_gave() -> None:
    code = (
        "import os, sys\nfrom affectgpt.cli.main import run_process\nsys.argv[1:] = ['--version']\n"
        "try:\n    run_process()\nexcept SystemExit:\n    pass\n"
        "os.system('echo [$PYDANTIC_DISABLE_PLUGINS] >&2')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    for more, shown in (({}, "[]"), ({"PYDANTIC_DISABLE_PLUGINS": "mine"}, "[mine]")):
        outcome = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **more}, capture_output=True, text=True, check=True
        )
        assert shown in outcome.stderr.split()
