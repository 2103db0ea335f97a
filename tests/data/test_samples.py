"""From examples to samples: order, broken clips told by name, batches."""

from __future__ import annotations

import gc
import os
import signal
import sys
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from affectgpt.core.tokens import Prepared
from affectgpt.data.example import Example
from affectgpt.data.samples import BrokenClip, Sample, batches, check_samples, read_samples
from affectgpt.media.clip import Clip
from affectgpt.registry.errors import DataError, MediaError


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Example]:
    """Makes an example with a sound file of 0.1 s; `broken` makes a file that is none."""

    def make(name: str, *, broken: bool = False, subtitle: str = "words", **known: Any) -> Example:
        path = tmp_path / f"{name}.wav"
        if broken:
            path.write_bytes(b"this is no sound")
        else:
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                file.writeframes(bytes(3200))
        defaults = {"labels": (f"{name}-label", "other"), "description": f"About {name}."}
        return Example(name, path, subtitle, **{**defaults, **known})

    return make


def prepare(clip: Clip) -> dict[str, Prepared | None]:
    """As much of a pipeline's preparation as the tests need: the file's number, and a stream that is absent."""
    number = float("".join(letter for letter in clip.path.stem if letter.isdigit()) or 0)
    return {"audio": Prepared(torch.full((100, 3), number)[:2], torch.arange(2.0)), "face": None}


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_come_in_order_with_everything_known(example: Callable[..., Example], workers: int) -> None:
    examples = [example(f"clip{index}", subtitle=f"words {index}") for index in (4, 1, 3, 0, 2)]
    calls: list[tuple[int, int]] = []
    samples, broken = read_samples(
        examples, prepare, workers=workers, progress=lambda done, total: calls.append((done, total))
    )
    assert not broken and calls == [(count, 5) for count in range(1, 6)]
    assert [sample.name for sample in samples] == ["clip4", "clip1", "clip3", "clip0", "clip2"]
    for sample in samples:
        number = float(sample.name[-1])
        assert sample.subtitle == f"words {number:.0f}" and sample.description == f"About {sample.name}."
        assert sample.media["face"] is None and sample.media["audio"] is not None
        assert sample.media["audio"].values.tolist() == [[number] * 3] * 2
        assert sample.media["audio"].times.tolist() == [0.0, 1.0]
        # A part of something larger: only the part is kept, and no memory that is shared with a process.
        assert sample.media["audio"].values.untyped_storage().nbytes() == 2 * 3 * 4
        assert not sample.media["audio"].values.is_shared()


def test_the_clips_own_words_are_the_examples(example: Callable[..., Example]) -> None:
    subtitles: list[str] = []

    def look(clip: Clip) -> dict[str, Prepared | None]:
        subtitles.append(clip.subtitle)
        return prepare(clip)

    clip = example("clip1", subtitle="")
    clip.video.with_suffix(".txt").write_text("beside the file")
    (sample,), _ = read_samples([clip], look, workers=0)
    assert subtitles == [""] and sample.subtitle == ""


def test_the_separate_sound_and_faces_are_used(example: Callable[..., Example], tmp_path: Path) -> None:
    clip = example("clip1")
    np.save(tmp_path / "faces.npy", np.full((2, 4, 4, 3), (1, 2, 3), np.uint8))
    clips: list[Clip] = []

    def look(clip: Clip) -> dict[str, Prepared | None]:
        clips.append(clip)
        return prepare(clip)

    silent = tmp_path / "silent1.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    read_samples([replace(clip, video=silent, sound=clip.video, faces=tmp_path / "faces.npy")], look, workers=0)
    waveform, faces = clips[0].waveform(), clips[0].faces(1)
    assert waveform is not None and len(waveform) == 1600
    assert faces is not None and faces.images[0][0, 0].tolist() == [3, 2, 1]


def test_labels_are_enough_where_they_are_learned(example: Callable[..., Example]) -> None:
    (sample,), _ = read_samples([example("clip1", description="")], prepare, "labels", workers=0)
    assert sample.labels == ("clip1-label", "other") and sample.description == ""


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_clips_are_counted_and_named(example: Callable[..., Example], workers: int) -> None:
    examples = [example("one1"), example("bad2", broken=True), example("three3"), example("bad4", broken=True)]
    examples[3].video.unlink()
    with pytest.raises(DataError, match="2 of 4") as caught:
        read_samples(examples, prepare, workers=workers)
    message = str(caught.value)
    assert "bad2" in message and "bad4" in message and "one1" not in message and "allow_unreadable=" in message
    samples, broken = read_samples(examples, prepare, workers=workers, allow_unreadable=1.0)
    assert [sample.name for sample in samples] == ["one1", "three3"]
    assert [clip.name for clip in broken] == ["bad2", "bad4"]
    assert all(clip.name in clip.problem.where for clip in broken)


def test_a_clip_that_breaks_while_it_is_decoded_is_broken_too(example: Callable[..., Example]) -> None:
    def fail(clip: Clip) -> dict[str, Prepared | None]:
        if clip.path.stem == "clip2":
            raise MediaError("cut off", where=str(clip.path))
        return prepare(clip)

    samples, broken = read_samples([example("clip1"), example("clip2")], fail, workers=0, allow_unreadable=1.0)
    assert [sample.name for sample in samples] == ["clip1"]
    assert [(clip.name, clip.problem.what) for clip in broken] == [("clip2", "cut off")]


def test_a_clip_that_kills_its_process_is_named_and_may_be_left_out(
    example: Callable[..., Example], stopped_after: Callable
) -> None:
    here = os.getpid()

    def die(clip: Clip) -> dict[str, Prepared | None]:
        if clip.path.stem == "clip2" and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(clip)

    examples = [example(f"clip{index}") for index in range(9)]
    with stopped_after(60):
        with pytest.raises(DataError, match="1 of 9") as caught:
            read_samples(examples, die, workers=2)
        samples, broken = read_samples(examples, die, workers=2, allow_unreadable=0.2)
        checked, also = check_samples(examples, die, workers=2, allow_unreadable=0.2)
    assert str(examples[2].video) in str(caught.value) and "SIGKILL" in str(caught.value)
    assert (
        [clip.name for clip in samples]
        == [clip.name for clip in checked]
        == [clip.name for clip in examples if clip.name != "clip2"]
    )
    assert broken == also == [BrokenClip("clip2", caught.value.problems[1])]


def test_a_fault_of_the_program_is_not_a_broken_clip(example: Callable[..., Example]) -> None:
    def fail(clip: Clip) -> dict[str, Prepared | None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_samples([example("clip1")], fail, workers=0, allow_unreadable=1.0)


def test_no_clip_left(example: Callable[..., Example]) -> None:
    with pytest.raises(DataError, match="no clip is left"):
        read_samples([example("bad", broken=True)], prepare, workers=0, allow_unreadable=1.0)
    with pytest.raises(DataError, match="no clip is left"):
        read_samples([], prepare, workers=0)


@pytest.mark.parametrize(("target", "missing"), [("description", {"description": ""}), ("labels", {"labels": ()})])
def test_an_answer_that_is_missing_is_told_before_any_clip_is_opened(
    example: Callable[..., Example], target: Any, missing: dict[str, Any]
) -> None:
    opened: list[Path] = []

    def look(clip: Clip) -> dict[str, Prepared | None]:
        opened.append(clip.path)
        return prepare(clip)

    examples = [example("bad0", broken=True), example("clip1"), example("clip2", **missing)]
    with pytest.raises(DataError, match=f"1 training clips have no {target}") as caught:
        read_samples(examples, look, target, workers=0)
    assert "clip2" in str(caught.value) and "clip1" not in str(caught.value)
    assert not opened


@pytest.mark.parametrize(("count", "size", "lengths"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 8, [3]), (0, 2, [])])
def test_batches_hold_every_sample_in_order(count: int, size: int, lengths: list[int]) -> None:
    samples = [
        Sample(
            f"clip{index}",
            {"audio": Prepared(torch.full((index + 1, 3), float(index)), torch.zeros(index + 1))},
            f"words {index}",
            "answer",
        )
        for index in range(count)
    ]
    batch_list = list(batches(samples, size))
    assert [len(chosen) for _, chosen in batch_list] == [len(batch) for batch, _ in batch_list] == lengths
    assert [sample for _, chosen in batch_list for sample in chosen] == samples
    for batch, chosen in batch_list:
        assert list(batch.subtitles) == [sample.subtitle for sample in chosen]
        audio = batch.media["audio"]
        assert audio is not None
        for row, sample in enumerate(chosen):
            assert torch.equal(audio.values[row][audio.mask[row]], sample.media["audio"].values)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_reading_frames_leaves_no_threads_that_a_forked_worker_would_wait_for(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=320, height=240, pix_fmt="yuv420p")
        for level in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 40 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    Clip.open(tmp_path / "clip.mp4").frames(1)
    gc.collect()
    before = threads()
    gc.disable()
    try:
        frames = Clip.open(tmp_path / "clip.mp4").frames(4)
        assert frames is not None and len(frames.images) == 4
        assert threads() == before
    finally:
        gc.enable()
