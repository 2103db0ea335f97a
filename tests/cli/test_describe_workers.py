"""`affectgpt describe --workers`: the same rows in the same order, whatever the clips do to the processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_hang(stopped_after: Callable) -> Iterator[None]:
    with stopped_after(240):
        yield


@pytest.fixture
def folder(videos: list[Path], tmp_path: Path) -> Path:
    """Seven clips, one of them broken."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for video in videos[:6]:
        shutil.copy(video, inside)
    (inside / "synth_train_00002b.mp4").write_text("no video")
    return inside


def texts(outcome: Any) -> list[tuple[str, str, str]]:
    return [(Path(row["file"]).name, row["text"], row["error"]) for row in json.loads(outcome.out)]


def test_workers_change_nothing(run: Callable, model: Path, folder: Path) -> None:
    command = ("describe", folder, "--model", model, "--json", "--batch-size", 2, "--workers")
    none, two = run(*command, 0), run(*command, 2)
    assert none.code == two.code == 2 and texts(none) == texts(two)
    rows = texts(two)
    assert [name for name, *_ in rows] == sorted(path.name for path in folder.iterdir())
    assert [bool(error) for *_, error in rows] == [False] * 3 + [True] + [False] * 3
    assert all(text for _, text, error in rows if not error) and len({text for _, text, _ in rows}) > 2


@pytest.mark.parametrize(
    "dying", [[1, 2], *(pytest.param(dying, marks=pytest.mark.slow) for dying in ([0], [6], list(range(7))))], ids=str
)
def test_a_clip_that_ends_its_process_is_an_error_row(
    run: Callable, deadly: list[str], folder: Path, dying: list[int]
) -> None:
    (folder / "synth_train_00002b.mp4").unlink()
    shutil.copy(folder / "synth_train_00000.mp4", folder / "synth_train_00009.mp4")
    clips = sorted(folder.iterdir())
    plain = texts(run("describe", folder, *deadly, "--json", "--batch-size", "2", "--workers", "0"))
    for index in dying:
        clips[index].rename(folder / f"{clips[index].stem}_deadly.mp4")
    outcome = run("describe", folder, *deadly, "--json", "--batch-size", "2", "--workers", "2")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    rows = texts(outcome)
    assert [bool(error) for *_, error in rows] == [index in dying for index in range(7)]
    for index, (name, text, error) in enumerate(rows):
        if index in dying:
            assert text == "" and "exit code 7" in error and name in error
        else:
            assert (name, text, error) == plain[index]


def test_an_error_in_a_plugin_is_no_traceback(run: Callable, deadly: list[str], folder: Path) -> None:
    (folder / "synth_train_00001.mp4").rename(folder / "odd.mp4")
    outcome = run("describe", folder, *deadly, "--workers", "2")
    assert outcome.code == 1 and "an error of the plugin" in outcome.err and "Traceback" not in outcome.err


@pytest.mark.slow
def test_rows_are_printed_as_they_come(model: Path, folder: Path) -> None:
    """The first rows can be read while later clips wait; whoever stops reading ends the command and its processes."""
    (folder / "synth_train_00002b.mp4").unlink()
    fifo = folder / "z.mp4"
    os.mkfifo(fifo)  # nobody writes: opening it waits for ever
    command = [sys.executable, "-m", "affectgpt.cli.main", "describe", str(folder), str(fifo), "--model", str(model)]
    process = subprocess.Popen(
        [*command, "--batch-size", "1", "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert b"synth_train_00000.mp4" in process.stdout.readline()
        process.kill()
        process.wait()
    finally:
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]
    for _ in range(200):
        if not any(str(fifo).encode() in _command_line(each) for each in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.05)
    raise AssertionError("processes outlive the command")


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_no_more_than_a_window_and_a_little_is_read_ahead(model: Path, folder: Path, tmp_path: Path) -> None:
    from affectgpt.core.saved.model import load
    from affectgpt.registry.discovery import discover
    from affectgpt.serving.describe import describe_each

    pipeline = load(model, discover())
    table, log = pipeline.prepare, tmp_path / "log"
    log.touch()

    def watched(clip: Any) -> Any:
        with log.open("a") as file:
            file.write("x")
        return table(clip)

    pipeline.prepare = watched
    files = [folder / "synth_train_00000.mp4"] * 10_000
    for workers, most in ((0, 8), (2, 8 + 2 * 4)):
        log.write_text("")
        rows = describe_each(pipeline, files, batch_size=2, workers=workers)
        for _ in range(3):
            assert next(rows).text
        assert 8 <= len(log.read_text()) <= most
        rows.close()


def test_the_device_is_looked_at_first(refused: Callable, workspace: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    refused([*workspace.describe(workspace.good_clip()), "--device", "cuda"], "CUDA")
