"""Bad data for `train` and bad places for `synth`: errors that say what and where, and nothing written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_no_data_folder(place: Any, refused: Callable) -> None:
    refused(place.train("gone"), "gone", "there is no such")


def test_empty_data_folder(place: Any, refused: Callable) -> None:
    refused(place.train(place.folder()), "folder", "neither labels nor descriptions", "folder/video", errors=2)


def test_videos_that_are_absent(place: Any, refused: Callable) -> None:
    data = place.data(2)
    for video in (data / "video").iterdir():
        video.unlink()
    refused(place.train(data), "names without a video", "2: synth_train_00000, synth_train_00001")


def test_no_video_folder(place: Any, refused: Callable) -> None:
    data = place.data(2)
    shutil.rmtree(data / "video")
    refused(place.train(data), "data/video", "no such folder")


def test_labels_where_descriptions_are_learned(place: Any, refused: Callable) -> None:
    data = place.data(2)
    (data / "track3_train_mercaptionplus.csv").unlink()
    refused(place.train(data), "have no description", "synth_train_00000", "training.target")


@pytest.mark.parametrize("out", ["afile/model", "afile/deep/model", "/proc/nowhere/model", f"new/{'n' * 300}"])
def test_a_place_that_cannot_be_written(out: str, place: Any, refused: Callable) -> None:
    place.write("afile", "years of work")
    # Found before the data, which is not there, is looked for.
    refused([*place.train("gone"), "--out", out], out, "cannot be saved at this place")


def test_a_pipe_for_a_table(place: Any, refused: Callable) -> None:
    data = place.data(2)
    for table in ("track2_train_mercaptionplus.csv", "track3_train_mercaptionplus.csv"):
        (data / table).unlink()
        os.mkfifo(data / table)
    refused(place.train(data), "track2_train_mercaptionplus.csv", "track3", "a pipe", errors=2)


def break_first(data: Path) -> Path:
    min((data / "video").iterdir()).write_bytes(b"no video")
    return data


def test_a_broken_clip(place: Any, refused: Callable) -> None:
    refused(
        place.train(break_first(place.data(4))),
        "1 of 4 clips cannot be read",
        "synth_train_00000.mp4",
        "--allow-unreadable",
        errors=2,
    )


def test_only_broken_clips(place: Any, refused: Callable) -> None:
    refused(place.train(break_first(place.data(1)), "--allow-unreadable", "1"), "no clip is left", "1 broken")


def test_folder_in_the_way(place: Any, refused: Callable) -> None:
    place.write("out/thesis.txt", "years of work")
    refused(place.train(place.data(2)), "out", "already")


def test_file_in_the_way(place: Any, refused: Callable) -> None:
    place.write("out", "years of work")
    refused(place.train(place.data(2)), "out", "already")


def test_a_broken_clip_can_be_left_out(run: Callable, place: Any) -> None:
    outcome = run(*place.train(break_first(place.data(4)), "--allow-unreadable", "0.25"))
    assert outcome.code == 0, outcome.err
    assert "1 steps on 3 clips" in outcome.out and "skipped synth_train_00000" in outcome.err
    assert (place.here / "out" / "model.safetensors").is_file()
