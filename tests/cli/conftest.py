"""A few synthetic clips, a small model trained on them, and the command line run inside the test."""

from __future__ import annotations

import atexit
import io
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from affectgpt.cli.main import main, run_process

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "configs" / "tiny.yaml"
CLIPS = 16
QUICK = ["training.steps=3", "training.warmup_steps=1", "training.batch_size=4", "generation.max_new_tokens=12"]
QUICK_OPTIONS = [word for setting in QUICK for word in ("--set", setting)]


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> int:
        """How many errors were shown."""
        return sum(line.startswith("error: ") for line in self.err.splitlines()) + self.err.count("╭─ Error")


@dataclass(frozen=True)
class Workspace:
    """A folder to make a mess in (`here`, also the working directory), and what is right to start from."""

    root: Path
    clips: Path
    model: Path

    def write(self, name: str, content: str | bytes = "") -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def folder(self) -> str:
        (self.root / "folder").mkdir()
        return "folder"

    def video(self) -> bytes:
        return min((self.clips / "video").iterdir()).read_bytes()

    def good_clip(self) -> str:
        return self.write("clip.mp4", self.video())

    def pipeline(self, text: str) -> str:
        return self.write("mine.yaml", f"extends: {TINY}\n{text}\n")

    def plugin(self, text: str, *command: str) -> list[str]:
        return [*(command or ("check", str(TINY))), "--plugin", self.write("mine.py", text)]

    def describe(self, *arguments: str) -> list[str]:
        return ["describe", *arguments, "--model", str(self.model)]

    def saved(self, change: Callable[[dict], object]) -> list[str]:
        """Describes a good clip with a copy of the saved model whose pipeline.yaml was changed."""
        shutil.copytree(self.model, self.root / "saved")
        config = yaml.safe_load((self.model / "pipeline.yaml").read_text())
        change(config)
        self.write("saved/pipeline.yaml", yaml.safe_dump(config))
        return ["describe", self.good_clip(), "--model", "saved"]

    def data(self, count: int = 2) -> Path:
        """A copy of the first clips."""
        data = self.root / "data"
        (data / "video").mkdir(parents=True)
        for table in self.clips.glob("*.csv"):
            head = table.read_text(encoding="utf-8").splitlines()[: count + 1]
            (data / table.name).write_text("\n".join(head) + "\n", encoding="utf-8")
        for video in sorted((self.clips / "video").iterdir())[:count]:
            shutil.copy(video, data / "video")
        return data

    def train(self, data: str | Path, *options: str) -> list[str]:
        quick = ("training.steps=1", "training.warmup_steps=0", "training.batch_size=2")
        settings = [word for setting in quick for word in ("--set", setting)]
        return ["train", str(TINY), "--data", str(data), "--out", "out", *settings, "--workers", "0", *options]


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs `affectgpt ARGUMENTS` in this process."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["affectgpt", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


LIMIT = 1000
"""Bytes."""


@dataclass(frozen=True)
class Child:
    """A process that runs the command line, started as a copy of this one: it has its imports already."""

    pid: int
    folder: Path

    def wait(self) -> int:
        """The exit code; a signal that ended it is below 0."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def out(self) -> str:
        return (self.folder / "stdout").read_text()

    def err(self) -> str:
        return (self.folder / "stderr").read_text()


@pytest.fixture
def start(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Child]:
    """Starts `affectgpt ARGUMENTS` in `tmp_path`, with its streams as files, or broken as they say.

    Streams: `full` has no room, `limited` room for ten bytes (other files for LIMIT), `closed` and `unread` are that.
    With `room`, no file may grow beyond so many bytes.
    """

    def call(
        *arguments: object,
        stdin: str = "",
        stdout: str = "",
        stderr: str = "",
        unbuffered: bool = False,
        room: int | None = None,
        ignores_hangup: bool = False,
    ) -> Child:
        folder = tmp_path_factory.mktemp("streams")
        (folder / "stderr").touch()
        pid = os.fork()
        if pid:
            return Child(pid, folder)
        code = 99
        try:
            os.chdir(tmp_path)
            room = LIMIT if stdout == "limited" else room
            for number, how in enumerate((stdin, stdout, stderr)):
                _point(number, how, folder / ("stdin", "stdout", "stderr")[number])
            for number, how in enumerate((stdin, stdout, stderr)):
                if how == "closed":
                    os.close(number)
            if room is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            sys.stdin = None if stdin == "closed" else os.fdopen(0)  # type: ignore[assignment]
            sys.stdout = None if stdout == "closed" else _stream(1, unbuffered)  # type: ignore[assignment]
            sys.stderr = None if stderr == "closed" else _stream(2, unbuffered)  # type: ignore[assignment]
            sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
            sys.argv = ["affectgpt", *map(str, arguments)]
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores_hangup else signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                run_process()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
            # As Python does at the end.
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except BaseException:
            code = 120
        finally:
            os._exit(code)

    return call


def _point(number: int, how: str, file: Path) -> None:
    """Make `number` a stream that is broken in this way, or the file."""
    if how == "unread":
        ours, handle = os.pipe()
        os.close(ours)
    elif how == "limited":
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(handle, b"x" * (LIMIT - 10))
    elif number == 0:
        handle = os.open(os.devnull, os.O_RDONLY)
    else:
        handle = os.open("/dev/full" if how == "full" else file, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(handle, number)
    if handle > 2:
        os.close(handle)


def _stream(number: int, unbuffered: bool) -> io.TextIOWrapper:
    file = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(file if unbuffered else io.BufferedWriter(file), write_through=unbuffered)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def clips(write_once: Callable[..., Path]) -> Path:
    """A folder of 16 short clips in the MER2025 layout. Not to be changed by a test."""
    from affectgpt.synthetic.clips import write_clips
    from affectgpt.synthetic.difficulty import Difficulty

    short = Difficulty(seconds=(1.0, 1.3))
    return write_once("short", lambda folder: write_clips(folder, clips=CLIPS, seed=1, workers=2, difficulty=short))


@pytest.fixture(scope="session")
def model(clips: Path, write_once: Callable[..., Path]) -> Path:
    """A saved model of `configs/tiny.yaml`, trained for 3 steps. Not to be changed by a test.

    Its weights are then shaken, because after 3 steps it would give every clip the same text.
    """
    torch.set_num_threads(1)
    return write_once("saved/model", lambda folder: _write_model(clips, folder))


def _write_model(clips: Path, folder: Path) -> None:
    from affectgpt.core.assembly import assemble
    from affectgpt.core.load_config import read_config
    from affectgpt.core.plan import make_plan
    from affectgpt.core.saved.model import save
    from affectgpt.data.mer2025 import read_mer2025
    from affectgpt.data.samples import read_samples
    from affectgpt.registry.discovery import discover
    from affectgpt.training.loop import train

    catalog = discover()
    config = read_config(TINY, catalog, QUICK)
    pipeline = assemble(make_plan(config))
    train(pipeline, read_samples(read_mer2025(clips), pipeline.prepare, workers=0)[0])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in pipeline.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    save(pipeline, folder)


@pytest.fixture(scope="session")
def videos(clips: Path) -> list[Path]:
    """The clips' video files, sorted."""
    return sorted((clips / "video").iterdir())


@pytest.fixture
def workspace(tmp_path: Path, clips: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path, clips, model)


# A face encoder that ends its process at a clip that is called so.
DEADLY = """
import os
from affectgpt import encoder
from affectgpt.plugins.encoders.timm_vision import TimmVision
from affectgpt.plugins.encoders.timm_vision_config import TimmVisionConfig

@encoder("deadly", config=TimmVisionConfig)
class Deadly(TimmVision):
    \"\"\"Dies.\"\"\"
    def prepare(self, clip):
        if "deadly" in clip.path.name:
            os._exit(7)
        if "odd" in clip.path.name:
            raise ValueError("an error of the plugin")
        return super().prepare(clip)
"""


@pytest.fixture
def deadly(workspace: Workspace) -> list[str]:
    """Options that name a saved model whose face encoder dies at clips called deadly, and fails at odd ones."""
    shutil.copytree(workspace.model, workspace.root / "saved")
    config = yaml.safe_load((workspace.model / "pipeline.yaml").read_text())
    config["encoders"]["face"]["plugin"] = "deadly"
    workspace.write("saved/pipeline.yaml", yaml.safe_dump(config))
    (workspace.root / "saved" / "plugins.json").unlink()
    return ["--model", "saved", "--plugin", workspace.write("deadly.py", DEADLY)]


def contents(*folders: Path) -> dict[Path, bytes | None]:
    """Every file's bytes, and every folder; what Python compiles beside a plugin file is left out."""
    paths = (path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture
def refused(run: Callable[..., Outcome], workspace: Workspace) -> Callable[..., None]:
    """Checks that a command line is refused: exit code 2, as many `errors` as said, the words `shows` among them,
    no traceback, nothing on standard output, nothing written; and the same with `--json`, in JSON."""

    def check(arguments: list[str], *shows: str, errors: int = 1) -> None:
        before = contents(workspace.root, workspace.model.parent)
        outcome = run(*arguments)
        assert contents(workspace.root, workspace.model.parent) == before
        assert outcome.code == 2, outcome.out + outcome.err
        assert "Traceback" not in outcome.out + outcome.err
        assert outcome.errors == errors, outcome.err
        assert outcome.out == ""
        assert errors == 1 or f"{errors} problems:" in outcome.err
        for words in shows:
            assert words in outcome.err, outcome.err
        if arguments[0] in ("schema", "synth", "generate"):
            return
        again = run(*arguments, "--json")
        assert contents(workspace.root, workspace.model.parent) == before
        assert again.code == 2 and again.errors == 0, again.err
        result = json.loads(again.out)
        # `describe` gives a row for every file, also for those that cannot be read.
        problems = result["problems"] if isinstance(result, dict) else [{"what": row["error"]} for row in result]
        assert len(problems) == errors and all(problem["what"] for problem in problems)
        text = "\n".join(value for problem in problems for value in problem.values())
        for words in shows:
            assert words in text, text

    return check
