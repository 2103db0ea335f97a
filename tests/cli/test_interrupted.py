"""Commands that a signal ends or a disk stops: an exit code that tells, whole files only, and nothing hidden left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from affectgpt.cli.main import application

ROOT = Path(__file__).resolve().parents[2]
TINY = str(ROOT / "configs" / "tiny.yaml")
Start = Callable[..., Any]
QUICK = [
    word
    for setting in ("training.steps=1", "training.warmup_steps=0", "training.batch_size=2")
    for word in ("--set", setting)
]


def commands_with_plugins() -> Iterator[list[str]]:
    """Each command that loads plugins, with an argument for each of its places."""
    queue: list[tuple[list[str], Any]] = [([], typer.main.get_command(application()))]
    while queue:
        names, command = queue.pop()
        queue += [([*names, name], child) for name, child in getattr(command, "commands", {}).items()]
        options = {option for parameter in command.params for option in parameter.opts}
        required = [parameter for parameter in command.params if parameter.required]
        places = ["x" for parameter in required if not parameter.opts[0].startswith("-")]
        values = [
            word for parameter in required if parameter.opts[0].startswith("-") for word in (parameter.opts[0], "x")
        ]
        if "--plugin" in options:
            yield [*names, *places, *values]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


SLEEPY = """
import pathlib, time
pathlib.Path("asleep").touch()
time.sleep(100)
"""
CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
# These ask for more before they look at plugins.
NEEDS = {"score": ["--truth", "x", "--task", "sentiment"], "unibench": ["--data", "x"], "encode": ["--config", TINY]}
NEEDS |= {"serve-embeds": ["--export", "y"]}
WITH_PLUGINS = sorted(commands_with_plugins())


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        pytest.param(row, number, id=f"{'-'.join(row)}-{number.name}", marks=() if quick else pytest.mark.slow)
        for index, row in enumerate(WITH_PLUGINS)
        for column, number in enumerate(CODES)
        for quick in [index % 6 == column]
    ],
)
def test_a_signal_ends_every_command_with_its_code(
    arguments: list[str], number: signal.Signals, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    (tmp_path / "x").write_text("{}")
    child = start(*arguments, *NEEDS.get(arguments[0], []), "--plugin", "sleepy.py")
    wait_for((tmp_path / "asleep").exists)
    os.kill(child.pid, number)
    assert child.wait() == CODES[number], child.err()
    assert child.out() == "" and "Traceback" not in child.err()
    if number != signal.SIGINT:
        assert child.err() == f"stopped by {number.name}\n"


def test_a_signal_that_is_ignored_stays_ignored(start: Start, tmp_path: Path) -> None:
    """As with nohup."""
    (tmp_path / "mine.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nprint('alive')\nraise OSError"
    )
    child = start("check", TINY, "--plugin", "mine.py", ignores_hangup=True)
    assert child.wait() == 2 and "alive" in child.err()


def hidden(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_synth_had_begun_is_removed(number: signal.Signals, start: Start, tmp_path: Path) -> None:
    child = start("synth", "out", "--clips", "200", "--workers", "0")
    wait_for(lambda: list(tmp_path.rglob("*.mp4")))
    os.kill(child.pid, number)
    assert child.wait() == CODES[number] and list(tmp_path.iterdir()) == []


def test_what_a_killed_synth_left_is_removed_by_the_next(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".out.mine").mkdir()
    child = start("synth", "out", "--clips", "200", "--workers", "0")
    wait_for(lambda: list(tmp_path.rglob("*.mp4")))
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL and len(hidden(tmp_path)) == 2
    assert start("synth", "out", "--clips", "1", "--workers", "0").wait() == 0
    assert hidden(tmp_path) == [".out.mine"] and len(list((tmp_path / "out" / "video").iterdir())) == 1


# -- commands that write

SAID = '{"a": ["happy"], "b": ["sad"]}'
WRITING: dict[str, list[str]] = {
    "new": ["new", "fuser", "mine", "--into", "."],
    "score": ["score", "said.json", "--truth", "said.json", "--task", "fine-grained", "--out", "out"],
    "synth": ["synth", "out", "--clips", "1", "--workers", "0"],
    "encode": ["encode", "CLIPS", "out", "--model", "MODEL", "--workers", "0"],
    "generate": ["generate", "CLIPS", "--out", "out", "--model", "MODEL", "--batch-size", "1", "--workers", "0"],
    "export": ["serve-embeds", "CLIP", "--export", "out", "--model", "MODEL", "--workers", "0"],
    "train": ["train", TINY, "--data", "CLIPS", "--out", "out", *QUICK, "--workers", "0"],
}


@pytest.fixture(params=[pytest.param(name, marks=() if name == "new" else pytest.mark.slow) for name in WRITING])
def writing(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A command line that writes files into `tmp_path`."""
    (tmp_path / "said.json").write_text(SAID)
    values = {
        "CLIPS": lambda: request.getfixturevalue("clips"),
        "CLIP": lambda: request.getfixturevalue("videos")[0],
        "MODEL": lambda: request.getfixturevalue("model"),
    }
    return [str(values[word]()) if word in values else word for word in WRITING[request.param]]


def written(folder: Path) -> dict[str, int]:
    """The files of `folder` with their sizes; of those that grow row by row and are resumed, none."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name != "said.json" and not path.name.endswith((".jsonl", ".lock", ".journal"))
    }


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "said.json":
            path.unlink()


def left_hidden(folder: Path) -> list[str]:
    return [name for name in hidden(folder) if ".github" not in name]


def test_a_disk_that_fills_up_leaves_whole_files_only(writing: list[str], start: Start, tmp_path: Path) -> None:
    child = start(*writing)
    assert child.wait() == 0, child.err()
    sizes_when_done = written(tmp_path)
    largest = max(sizes_when_done.values())
    draw = random.Random(0)
    for room in [1, largest - 1, *(draw.randrange(2, largest - 1) for _ in range(2))]:
        clear(tmp_path)
        child = start(*writing, room=room)
        assert child.wait() in (1, 2) and "Traceback" not in child.err(), (room, child.err())
        assert not left_hidden(tmp_path), room
        sizes = written(tmp_path)
        assert sizes == {name: sizes_when_done[name] for name in sizes}, room


@pytest.mark.slow
def test_a_signal_at_any_time_leaves_whole_files_only(writing: list[str], start: Start, tmp_path: Path) -> None:
    begin = time.monotonic()
    assert start(*writing).wait() == 0
    length = time.monotonic() - begin
    sizes_when_done = written(tmp_path)
    draw = random.Random(1)
    for _ in range(4):
        clear(tmp_path)
        child = start(*writing)
        time.sleep(draw.uniform(0, length))
        os.kill(child.pid, signal.SIGTERM)
        # Before the command begins, the signal itself ends the process; training tells of its checkpoint with 1.
        assert child.wait() in (0, 1, 143, -signal.SIGTERM) and "Traceback" not in child.err(), child.err()
        assert not left_hidden(tmp_path)
        sizes = written(tmp_path)
        assert sizes == {name: sizes_when_done[name] for name in sizes}
