"""Clips that cannot be read, files that change, features that are no numbers: told by name, the rest is kept."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from affectgpt.core.plan import Plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache import writer as writing
from affectgpt.data.feature_cache.fixed_encoders import FrozenEncoders, frozen_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import Encoded, encode
from affectgpt.data.samples import Sample
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import Problem, RunError

Encode = Callable[..., Encoded]
Plans = Callable[..., Plan]
Clips = list[Example]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(folder: Path, clips: Clips) -> list[Sample]:
    samples, broken = FeatureCache.open(folder).samples(clips)
    assert not broken
    return [samples[index] for index in range(len(samples))]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def test_an_unreadable_clip_is_recorded_and_the_rest_go_on(encoded: Encode, own_clips: Any, tmp_path: Path) -> None:
    clips = own_clips(5)
    content = clips[1].video.read_bytes()
    clips[1].video.write_bytes(b"no media")
    result = encoded(clips)
    assert (result.clips, result.new) == (4, 4) and [clip.name for clip in result.broken] == ["clip1"]
    (row,) = [row for row in rows(tmp_path / "cache") if row["row"] == "unreadable"]
    assert row["name"] == "clip1" and str(clips[1].video) in row["problem"][1]
    samples, broken = FeatureCache.open(tmp_path / "cache").samples(clips)
    assert [clip.name for clip in samples.examples] == ["clip0", "clip2", "clip3", "clip4"]
    assert broken == result.broken
    before = contents(tmp_path / "cache")
    again = encoded(clips)
    assert (again.new, again.broken) == (0, result.broken) and contents(tmp_path / "cache") == before
    clips[1].video.write_bytes(content)
    mended = encoded(clips)
    assert (mended.clips, mended.new, mended.broken) == (5, 1, [])
    assert stored(tmp_path / "cache", clips)[1].media["audio"] is not None


def test_a_clip_that_was_unreadable_for_a_while_is_tried_again(
    encoded: Encode, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectgpt.registry.errors import MediaError

    def fails(example: Example, work: Any = Example.open) -> Any:
        if example.name == "clip3":
            raise MediaError("the disk is away", where="clip3")
        return work(example)

    with monkeypatch.context() as patch:
        patch.setattr(Example, "open", fails)
        assert [clip.problem.what for clip in encoded(clips).broken] == ["the disk is away"]
    result = encoded(clips)
    assert (result.new, result.broken) == (1, [])


def test_a_clip_that_kills_its_process_is_recorded_and_tried_again(
    encoded: Encode, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_after: Any
) -> None:
    here = os.getpid()

    def dies(example: Example, work: Any = Example.open) -> Any:
        if example.name == "clip3" and os.getpid() != here:
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        return work(example)

    with monkeypatch.context() as patch, stopped_after(60):
        patch.setattr(Example, "open", dies)
        result = encoded(clips, workers=2)
        before = contents(tmp_path / "cache")
        assert encoded(clips, workers=2).broken == result.broken and contents(tmp_path / "cache") == before
    assert (result.clips, result.new) == (6, 6) and [clip.name for clip in result.broken] == ["clip3"]
    problem = result.broken[0].problem
    assert problem.where == str(clips[3].video) and problem.found == "killed by SIGSEGV"
    assert FeatureCache.open(tmp_path / "cache").samples(clips)[1] == result.broken
    again = encoded(clips, workers=2)
    assert (again.clips, again.new, again.broken) == (7, 1, [])


def test_files_that_are_gone_or_no_files_are_told(encoded: Encode, own_clips: Any, tmp_path: Path) -> None:
    clips = own_clips(3)
    clips[0].video.unlink()
    clips[2].faces.unlink()
    os.mkfifo(clips[2].faces)
    result = encoded(clips)
    assert [clip.name for clip in result.broken] == ["clip0", "clip2"] and result.clips == 1
    assert str(clips[0].video) in str(result.broken[0].problem) and "no file" in result.broken[1].problem.what


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
def test_names_of_files_that_are_no_text(encoded: Encode, own_clips: Any, tmp_path: Path) -> None:
    clips = own_clips(2)
    for index, content in enumerate((clips[0].video.read_bytes(), b"no media")):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff%d.wav" % index))
        path.write_bytes(content)
        clips[index] = replace(clips[index], video=path)
    result = encoded(clips)
    assert (result.new, len(result.broken)) == (1, 1)
    assert encoded(clips).new == 0 and len(FeatureCache.open(tmp_path / "cache").samples(clips)[0]) == 1


def test_too_many_unreadable_clips_are_an_error_that_lists_them() -> None:
    broken = [writing.BrokenClip(f"clip{index}", Problem("no media", f"clip{index}.wav")) for index in range(2)]
    Encoded(198, 0, broken).check_broken_share(0.01)
    Encoded(5, 5).check_broken_share(0.0)
    Encoded(0, 0, broken).check_broken_share(1.0)
    with pytest.raises(RunError, match="2 of 199 clips") as caught:
        Encoded(197, 0, broken).check_broken_share(0.01)
    assert caught.value.exit_code == 1 and "clip1.wav" in str(caught.value)


def test_features_that_are_no_numbers_stop_the_run_at_their_clip(
    clips: Clips, plan: Plans, encoded: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_all = FrozenEncoders.encode

    def spoiled(self: Any, media: Any, device: str) -> Any:
        features = encode_all(self, media, device)
        seen.append(len(features))
        if len(seen) == 2:
            features[1]["face"][0][0, 3] = torch.inf
        return features

    seen: list[int] = []
    monkeypatch.setattr(FrozenEncoders, "encode", spoiled)
    with pytest.raises(RunError, match="clip3") as caught:
        encoded(clips)
    assert "'face'" in str(caught.value) and len(FeatureCache.open(tmp_path / "cache").samples(clips[:2])[0]) == 2


def test_what_a_short_float_cannot_hold_stops_the_run(
    encoded: Encode, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_all = FrozenEncoders.encode

    def large(self: Any, media: Any, device: str) -> Any:
        features = encode_all(self, media, device)
        features[0]["face"][0][:] = 70000.0
        return features

    monkeypatch.setattr(FrozenEncoders, "encode", large)
    with pytest.raises(RunError, match="float16") as caught:
        encoded(clips, dtype="float16")
    assert "float32" in caught.value.problems[0].hint


@pytest.mark.parametrize("deadly", [False, True], ids=["", "and kills its process"])
def test_a_file_that_changes_while_a_process_reads_it_stops_the_run(
    encoded: Encode, own_clips: Any, monkeypatch: pytest.MonkeyPatch, stopped_after: Any, deadly: bool
) -> None:
    clips, here = own_clips(5), os.getpid()

    def change(example: Example, work: Any = Example.open) -> Any:
        clip = work(example)
        if example.name == "clip3" and os.getpid() != here:
            example.video.write_bytes(b"")
            if deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return clip

    monkeypatch.setattr(Example, "open", change)
    with stopped_after(60), pytest.raises(RunError, match="changed while") as caught:
        encoded(clips, workers=2)
    assert caught.value.problems[0].where == str(clips[3].video)


def test_a_file_that_changes_meanwhile_stops_the_run(plan: Plans, own_clips: Any, tmp_path: Path) -> None:
    clips = own_clips(4)

    def change(what: str, count: int, total: int) -> None:
        if what == "encoding" and count == 2:
            clips[3].faces.write_bytes(clips[0].faces.read_bytes())

    encoders = frozen_encoders(plan(), discover())
    with pytest.raises(RunError, match="changed while") as caught:
        encode(encoders, clips, tmp_path / "cache", batch_size=2, workers=0, progress=change)
    assert str(clips[3].faces) in str(caught.value)
    assert encode(encoders, clips, tmp_path / "cache", batch_size=2, workers=0).clips == 4
