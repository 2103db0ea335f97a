"""`affectgpt train` is killed at random moments and resumed: log and model are those of a run that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from affectgpt.synthetic.clips import write_clips
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.training.checkpoint_files import newest_checkpoint

ROOT = Path(__file__).resolve().parents[2]
KILLS, STEPS, SHORT = 20, 48, 8
SETTINGS = [
    "training.warmup_steps=4",
    "training.batch_size=2",
    "training.gradient_accumulation=2",
    "training.checkpoint_every=2",
    "training.keep_checkpoints=2",
    "training.modality_dropout=0.3",
    "encoders.face.frames=2",
    "llm.architecture.attention_dropout=0.1",
]
PRELOADED = [
    "affectgpt.cli.main",
    "affectgpt.core.assembly",
    "affectgpt.core.saved.model",
    "affectgpt.media.clip",
    "affectgpt.plugins.encoders.timm_vision",
    "affectgpt.plugins.encoders.timm_mel",
    "affectgpt.plugins.llms.causal_lm",
    "affectgpt.training.loop",
    "affectgpt.training.sample_source",
    "cv2",
    "timm",
    "transformers.models.qwen2.modeling_qwen2",
]
VALIDATED = ["training.validation_share=0.2", "training.validate_every=7"]
# The command, in a process that has its imports already: torch alone takes seconds. Its own session tells whom it left.
COMMAND = """
import multiprocessing, os, resource, sys
multiprocessing.set_start_method("fork", force=True)
os.setsid()
log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
os.dup2(log, 1); os.dup2(log, 2)
if room is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
import torch
torch.set_num_threads(1)
from affectgpt.cli.main import main
sys.argv = ["affectgpt", *arguments]
main()
"""


@dataclass(frozen=True)
class Run:
    """One training run: where it writes, and how it is started."""

    context: ForkServerContext
    clips: Path
    root: Path
    settings: tuple[str, ...]

    @property
    def output(self) -> Path:
        """What the commands printed."""
        return self.root / "output.txt"

    @property
    def log(self) -> Path:
        return self.root / "run" / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.root / "run" / "checkpoints"

    def start(self, *, resume: bool = False, room: int | None = None) -> ForkServerProcess:
        self.root.mkdir(exist_ok=True)
        settings = [word for setting in self.settings for word in ("--set", setting)]
        places = ["--data", self.clips, "--out", self.root / "model", "--run", self.root / "run"]
        arguments = ["train", ROOT / "configs" / "tiny.yaml", *places, "--workers", "1", *settings]
        arguments += ["--resume"] if resume else []
        variables = {"arguments": list(map(str, arguments)), "output": str(self.output), "room": room}
        process = self.context.Process(target=exec, args=(COMMAND, variables))
        process.start()
        return process

    def finish(self, *, resume: bool = False, room: int | None = None, code: int = 0) -> None:
        process = self.start(resume=resume, room=room)
        process.join(300)
        assert process.exitcode == code, self.output.read_text()
        assert "Traceback" not in self.output.read_text()

    def copy(self, root: Path) -> Run:
        shutil.copytree(self.root / "run", root / "run")
        return replace(self, root=root)

    def rows(self) -> list[dict[str, Any]]:
        """The log without its times."""
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    def steps_in_log(self) -> int:
        """The steps in the log."""
        return self.log.read_bytes().count(b'"loss"') if self.log.exists() else 0

    def newest(self) -> Path:
        """The newest checkpoint that is marked complete."""
        return max(self.checkpoints.glob("step-*/complete.json")).parent

    def half_written(self) -> set[tuple[Path, int]]:
        """Checkpoints that are being written, or were when the run was killed, and when something was done there."""
        unfinished = set()
        for folder in (self.checkpoints, self.root / "run" / "best"):
            for path in folder.glob("*step-*"):
                with suppress(FileNotFoundError):
                    unfinished |= {(path, path.stat().st_mtime_ns)} if not (path / "complete.json").exists() else set()
        return unfinished

    def same_as(self, reference: Run) -> bool:
        assert self.rows() == reference.rows()
        assert contents(self.root / "model") == contents(reference.root / "model")
        return True


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(PRELOADED)
    return forkserver


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 6 short clips."""
    folder = tmp_path_factory.mktemp("few") / "clips"
    write_clips(folder, clips=6, seed=1, workers=1, difficulty=Difficulty(seconds=(1.0, 1.3)))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(context: ForkServerContext, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was left alone."""
    settings = (*SETTINGS, *VALIDATED, f"training.steps={STEPS}")
    run = Run(context, few, tmp_path_factory.mktemp("runs") / "whole", settings)
    run.finish()
    assert run.steps_in_log() == STEPS and len(run.rows()) == STEPS + STEPS // 7 + 1
    return run


@pytest.fixture(scope="module")
def short(context: ForkServerContext, few: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short run that was left alone."""
    settings = (*SETTINGS, f"training.steps={SHORT}")
    run = Run(context, few, tmp_path_factory.mktemp("runs") / "short", settings)
    run.finish()
    return run


def left_behind(session: int) -> list[str]:
    """The processes of a session, a while after its first one was killed."""
    for _ in range(100):
        names = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                names += [process.name] if os.getsid(int(process.name)) == session else []
        if not names:
            break
        time.sleep(0.1)
    return names


def killed(run: Run, due: Callable[[], object], pause: float, *, resume: bool) -> None:
    """Start the run, and kill it a pause after it is `due`."""
    process = run.start(resume=resume)
    while not due() and process.is_alive():
        time.sleep(0.0005)
    time.sleep(pause)
    assert process.is_alive(), run.output.read_text()
    process.kill()
    process.join()
    assert not left_behind(process.pid or 0), "processes outlive the killed one"


@pytest.mark.slow
def test_twenty_kills_change_nothing(uninterrupted: Run, tmp_path: Path) -> None:
    run = replace(uninterrupted, root=tmp_path / "killed")
    draw = random.Random(0)
    # Not at moments of the clock, which a busy machine shifts: when so many steps are taken, or, every other time, when
    # a checkpoint is being written after that. A step that the run before came to is a kill at the start.
    moments = sorted(draw.randrange(STEPS - 4) for _ in range(KILLS))
    torn = 0
    for number, step in enumerate(moments):
        before = run.half_written()

        def due(step: int = step, writing: bool = number % 2 == 0, before: set[tuple[Path, int]] = before) -> bool:
            return run.steps_in_log() >= step and (not writing or bool(run.half_written() - before))

        killed(run, due, draw.uniform(0, 0.02), resume=number > 0)
        torn += bool(run.half_written() - before)
        checkpoint, notes = newest_checkpoint(run.checkpoints)
        assert checkpoint is not None or step < 4
        assert all("cut short" in note for note in notes)
    assert torn > 3, "no kill hit the writing of a checkpoint"
    run.finish(resume=True)
    assert run.same_as(uninterrupted)
    assert not run.half_written(), "leftovers of killed writes are still there"


@pytest.mark.slow
def test_a_truncated_checkpoint_is_passed_over(short: Run, tmp_path: Path) -> None:
    run = short.copy(tmp_path / "truncated")
    damaged = run.newest()
    assert damaged.name == f"step-{SHORT:08d}"
    os.truncate(damaged / "tensors.safetensors", 10_000)
    run.finish(resume=True)
    output = " ".join(run.output.read_text().split())
    assert f"{damaged.name} is skipped: tensors.safetensors has 10000 bytes" in output, output
    assert run.same_as(short)
    assert newest_checkpoint(run.checkpoints)[1] == [] and run.newest() == damaged


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_loses_nothing(short: Run, tmp_path: Path) -> None:
    run = short.copy(tmp_path / "full")
    shutil.rmtree(run.newest())
    before = contents(run.checkpoints)
    size = (run.newest() / "tensors.safetensors").stat().st_size
    run.finish(resume=True, room=size // 2, code=1)
    assert "the checkpoint cannot be written" in run.output.read_text()
    assert contents(run.checkpoints) == before
    assert not (run.root / "model").exists()
    run.finish(resume=True)
    assert run.same_as(short)
    assert run.newest().name == f"step-{SHORT:08d}"


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and every folder."""
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}
