"""A run that is killed, or whose disk is full, at whatever moment, and is run again gives what one run gives."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgpt.core.plan import Plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.fixed_encoders import FrozenEncoders, frozen_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import encode
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import AffectGPTError, DataError, RunError


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def clips(own_clips: Callable[[int], list[Example]]) -> list[Example]:
    """Nine clips of which the third and the eighth cannot be read."""
    examples = own_clips(9)
    for index in (2, 7):
        examples[index].video.write_bytes(b"no media %d" % index)
    return examples


@pytest.fixture
def encoders(plan: Callable[..., Plan]) -> FrozenEncoders:
    return frozen_encoders(plan(), discover())


def run(encoders: FrozenEncoders, clips: list[Example], folder: Path, **options: Any) -> None:
    encode(encoders, clips, folder, **{"batch_size": 2, "workers": 0, "shard_clips": 3, **options})


@pytest.fixture
def complete_files(encoders: FrozenEncoders, clips: list[Example], tmp_path: Path) -> dict[str, bytes]:
    """The bytes of a run that was left alone."""
    run(encoders, clips, tmp_path / "whole")
    files = contents(tmp_path / "whole")
    assert {"index.jsonl", "files.jsonl", "cache.json", "encoders.safetensors", "shard-00001.safetensors"} <= {*files}
    return files


def is_honest(folder: Path, clips: list[Example]) -> None:
    """What an interrupted run left is readable: all of it is there as it should be, or named as missing."""
    try:
        samples, _ = FeatureCache.open(folder).samples(clips)
        for index in range(len(samples)):
            _ = samples[index]
    except DataError as error:
        assert "not in the feature cache" in str(error) or "not a feature cache" in str(error), error


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    encoders: FrozenEncoders, clips: list[Example], tmp_path: Path, complete_files: dict[str, bytes], kills: int
) -> None:
    folder, draw = tmp_path / "killed", random.Random(0)
    begun = time.perf_counter()
    run(encoders, clips, tmp_path / "timed")
    longest = time.perf_counter() - begun
    for _ in range(kills):
        if (child := os.fork()) == 0:
            try:
                run(encoders, clips, folder)
            finally:
                os._exit(0)
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        is_honest(folder, clips)
        if draw.random() < 0.3:
            shutil.rmtree(folder, ignore_errors=True)
    run(encoders, clips, folder)
    assert contents(folder) == complete_files


def test_stopped_at_every_write(
    encoders: FrozenEncoders,
    clips: list[Example],
    tmp_path: Path,
    complete_files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = 0
    while True:
        folder, writes_left = tmp_path / f"stopped{moment}", [moment]

        def full(handle: int, writes_left: list[int] = writes_left, sync: Any = os.fsync) -> None:
            if writes_left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            writes_left[0] -= 1
            sync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                run(encoders, clips, folder)
                break
            except RunError as error:
                assert "No space left" in str(error) and "make room" in str(error)
        assert not list(folder.glob(".*.part"))
        is_honest(folder, clips)
        run(encoders, clips, folder)
        assert contents(folder) == complete_files, moment
        moment += 1
    assert moment > 8 and contents(folder) == complete_files


def test_a_whole_cache_survives_a_disk_that_is_full(
    encoders: FrozenEncoders,
    clips: list[Example],
    tmp_path: Path,
    complete_files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"encoders\.safetensors"):
        run(encoders, clips, tmp_path / "whole")
    assert contents(tmp_path / "whole") == complete_files


def test_a_shard_without_rows_is_taken_away(
    encoders: FrozenEncoders, clips: list[Example], tmp_path: Path, complete_files: dict[str, bytes]
) -> None:
    # As of a run that was stopped between the two, and goes on with a shorter list of clips.
    (tmp_path / "whole" / "shard-00009.safetensors").write_bytes(b"")
    run(encoders, clips[:2], tmp_path / "whole")
    assert contents(tmp_path / "whole") == complete_files


def test_a_disk_that_is_full_within_a_file(
    encoders: FrozenEncoders, clips: list[Example], tmp_path: Path, complete_files: dict[str, bytes]
) -> None:
    for limit in sorted({len(content) - 1 for content in complete_files.values() if len(content) > 1}):
        folder = tmp_path / f"limit{limit}"
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                run(encoders, clips, folder)
                os.write(write, b"none")
            except AffectGPTError as error:
                os.write(write, type(error).__name__.encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read, "rb") as errors:
            assert errors.read() == b"RunError", limit
        is_honest(folder, clips)
        run(encoders, clips, folder)
        assert contents(folder) == complete_files, limit


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=st.floats(0, 1), files=st.floats(0, 1))
def test_files_cut_anywhere_as_a_crash_may_leave_them(
    index: float,
    files: float,
    encoders: FrozenEncoders,
    clips: list[Example],
    tmp_path: Path,
    complete_files: dict[str, bytes],
) -> None:
    folder = tmp_path / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "whole", folder)
    for name, share in (("index.jsonl", index), ("files.jsonl", files)):
        (folder / name).write_bytes(complete_files[name][: round(share * len(complete_files[name]))])
    run(encoders, clips, folder)
    assert contents(folder) == complete_files
