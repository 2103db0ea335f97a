"""Bad data for `train` and bad places for `synth`: errors that say what and where, and nothing written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_no_data_folder(workspace: Any, refused: Callable) -> None:
    refused(workspace.train("gone"), "gone", "there is no such")


def test_empty_data_folder(workspace: Any, refused: Callable) -> None:
    refused(workspace.train(workspace.folder()), "folder", "neither labels nor descriptions", "folder/video", errors=2)


def test_videos_that_are_absent(workspace: Any, refused: Callable) -> None:
    data = workspace.data(2)
    for video in (data / "video").iterdir():
        video.unlink()
    refused(workspace.train(data), "names without a video", "2: synth_train_00000, synth_train_00001")


def test_no_video_folder(workspace: Any, refused: Callable) -> None:
    data = workspace.data(2)
    shutil.rmtree(data / "video")
    refused(workspace.train(data), "data/video", "no such folder")


def test_labels_where_descriptions_are_learned(workspace: Any, refused: Callable) -> None:
    data = workspace.data(2)
    (data / "track3_train_mercaptionplus.csv").unlink()
    refused(workspace.train(data), "have no description", "synth_train_00000", "training.target")


@pytest.mark.parametrize("out", ["afile/model", "afile/deep/model", "/proc/nowhere/model", f"new/{'n' * 300}"])
def test_a_place_that_cannot_be_written(out: str, workspace: Any, refused: Callable) -> None:
    workspace.write("afile", "years of work")
    # Found before the data, which is not there, is looked for.
    refused([*workspace.train("gone"), "--out", out], out, "cannot be saved at this place")


def test_a_pipe_for_a_table(workspace: Any, refused: Callable) -> None:
    data = workspace.data(2)
    for table in ("track2_train_mercaptionplus.csv", "track3_train_mercaptionplus.csv"):
        (data / table).unlink()
        os.mkfifo(data / table)
    refused(workspace.train(data), "track2_train_mercaptionplus.csv", "track3", "a pipe", errors=2)


def break_first(data: Path) -> Path:
    min((data / "video").iterdir()).write_bytes(b"no video")
    return data


def test_a_broken_clip(workspace: Any, refused: Callable) -> None:
    refused(
        workspace.train(break_first(workspace.data(4))),
        "1 of 4 clips cannot be read",
        "synth_train_00000.mp4",
        "--allow-unreadable",
        errors=2,
    )


def test_only_broken_clips(workspace: Any, refused: Callable) -> None:
    refused(workspace.train(break_first(workspace.data(1)), "--allow-unreadable", "1"), "no clip is left", "1 broken")


def test_folder_in_the_way(workspace: Any, refused: Callable) -> None:
    workspace.write("out/thesis.txt", "years of work")
    refused(workspace.train(workspace.data(2)), "out", "already")


def test_file_in_the_way(workspace: Any, refused: Callable) -> None:
    workspace.write("out", "years of work")
    refused(workspace.train(workspace.data(2)), "out", "already")


def test_a_broken_clip_can_be_left_out(run: Callable, workspace: Any) -> None:
    outcome = run(*workspace.train(break_first(workspace.data(4)), "--allow-unreadable", "0.25"))
    assert outcome.code == 0, outcome.err
    assert "1 steps on 3 clips" in outcome.out and "skipped synth_train_00000" in outcome.err
    assert (workspace.root / "out" / "model.safetensors").is_file()
