"""Damaged media: no crash, no hang, and where more than 0.7 s of a clip is lost, its notes or an error say so."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affectgpt.media import SAMPLE_RATE, Clip
from affectgpt.registry.errors import MediaError

SECONDS, FRAMES = 4, 40
LOST = 0.7
LONGEST = 20
FILES = 12
"""Damaged files of one seed: one of each container with a damage of its own."""

Damage = Callable[[random.Random, bytearray], bytearray]
Stop = Callable[[int], AbstractContextManager[None]]


def truncate(draw: random.Random, data: bytearray) -> bytearray:
    return data[: draw.randrange(1, len(data))]


def flip_bits(draw: random.Random, data: bytearray) -> bytearray:
    for _ in range(draw.choice([1, 10, 200])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def zero_a_run(draw: random.Random, data: bytearray) -> bytearray:
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.choice([16, 1000, len(data) // 4]))
    data[start:end] = bytes(end - start)
    return data


def overwrite_with_noise(draw: random.Random, data: bytearray) -> bytearray:
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.choice([16, 1000, len(data) // 4]))
    data[start:end] = draw.randbytes(end - start)
    return data


def cut_out_a_run(draw: random.Random, data: bytearray) -> bytearray:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.choice([1, 100, len(data) // 4]) :]


def insert_noise(draw: random.Random, data: bytearray) -> bytearray:
    start = draw.randrange(len(data))
    return data[:start] + draw.randbytes(draw.choice([1, 100, 5000])) + data[start:]


def repeat_a_run(draw: random.Random, data: bytearray) -> bytearray:
    start = draw.randrange(len(data))
    run = data[start : start + draw.choice([100, 5000])]
    return data[:start] + run * draw.choice([2, 20]) + data[start:]


def swap_two_runs(draw: random.Random, data: bytearray) -> bytearray:
    size = draw.choice([64, 2000])
    first, second = draw.randrange(len(data)), draw.randrange(len(data))
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]
    return data


def damage_the_header(draw: random.Random, data: bytearray) -> bytearray:
    for _ in range(draw.choice([1, 4, 30])):
        data[draw.randrange(min(len(data), 400))] = draw.choice([0, 255, 127, 128, draw.randrange(256)])
    return data


def damage_the_end(draw: random.Random, data: bytearray) -> bytearray:
    for _ in range(draw.choice([1, 4, 30])):
        data[-1 - draw.randrange(min(len(data), 400))] = draw.choice([0, 255, draw.randrange(256)])
    return data


DAMAGES: list[Damage] = [
    truncate,
    flip_bits,
    zero_a_run,
    overwrite_with_noise,
    cut_out_a_run,
    insert_noise,
    repeat_a_run,
    swap_two_runs,
    damage_the_header,
    damage_the_end,
]


@pytest.fixture(scope="module")
def whole_files(media_dir: Path, make: SimpleNamespace) -> list[Path]:
    """4 s of picture and tone in several containers, and the tone alone."""
    folder = media_dir / "whole"
    folder.mkdir()
    stamps, tone = range(FRAMES), make.tone(SECONDS)
    files = [make.media(folder / f"clip.{suffix}", stamps, tone=tone) for suffix in ("mp4", "mkv", "ts")]
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    files.append(make.media(folder / "fragments.mp4", stamps, tone=tone, options=fragments))
    raw = make.tone(SECONDS, codec="pcm_s16le")
    files.append(make.media(folder / "clip.avi", stamps, tone=raw, codec="mpeg4", b_frames=0))
    files.append(make.media(folder / "clip.mov", stamps, tone=raw))
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * 48000) / 48000, dtype=np.float32)[None]
    files += [make.sound(folder / f"sound.{suffix}", wave, 48000, codec=codec) for suffix, codec in SOUNDS]
    files.append(make.wave(folder / "sound.wav", wave, 48000, codec="pcm_s16le"))
    return files


SOUNDS = [("m4a", "aac"), ("aac", "aac"), ("mp3", "libmp3lame"), ("flac", "flac"), ("mka", "pcm_s16le")]


def seconds_read(path: Path) -> tuple[float | None, float | None, list[str]]:
    """Seconds of picture and of audible sound that a clip gives, None where it has none, and its notes."""
    clip = Clip.open(path, subtitle="")
    pictures = clip.frames(FRAMES)
    waveform = clip.waveform()
    heard = None
    if waveform is not None:
        assert np.isfinite(waveform).all()
        loudness = np.sqrt(np.square(waveform[: len(waveform) // 160 * 160]).reshape(-1, 160).mean(axis=1))
        heard = float(np.count_nonzero(loudness > 0.05)) * 160 / SAMPLE_RATE
    return (None if pictures is None else len(pictures.images) * SECONDS / FRAMES), heard, clip.notes


def check_damaged(whole: Path, damaged: Path, stopped_after: Stop) -> str:
    """How it ended: an error, a note, or nothing lost."""
    with stopped_after(LONGEST):
        picture, sound, notes = seconds_read(whole)
        try:
            left_picture, left_sound, left_notes = seconds_read(damaged)
        except MediaError as error:
            assert str(damaged) in str(error)
            return "error"
    if set(left_notes) - set(notes):
        return "note"
    assert left_picture is not None or picture is None, "the picture was lost in silence"
    assert left_sound is not None or sound is None, "the sound was lost in silence"
    assert (left_picture or 0) >= (picture or 0) - LOST
    assert (left_sound or 0) >= (sound or 0) - LOST
    return "whole"


def can_be_told(damage: Damage, whole: Path) -> bool:
    """False for damage that leaves a file which could have been made so: zeros in sound that is stored as numbers, and
    a shorter stream of packets."""
    if damage is zero_a_run:
        return whole.suffix not in (".wav", ".avi", ".mov", ".mka")
    return damage is not truncate or whole.suffix not in (".ts", ".aac")


def damaged_files(seed: int, whole_files: list[Path], folder: Path) -> Iterator[tuple[Path, Path, str]]:
    draw = random.Random(seed)
    for number, whole in enumerate(draw.sample(whole_files, FILES)):
        damage = draw.choice([damage for damage in DAMAGES if can_be_told(damage, whole)])
        damaged = folder / f"{number}{whole.suffix}"
        damaged.write_bytes(damage(draw, bytearray(whole.read_bytes())))
        yield whole, damaged, damage.__name__


def check_seed(seed: int, whole_files: list[Path], folder: Path, stopped_after: Stop) -> None:
    for whole, damaged, name in damaged_files(seed, whole_files, folder):
        try:
            check_damaged(whole, damaged, stopped_after)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {damaged.name} of {whole.name}, {name}: {error}") from error


@pytest.mark.parametrize("seed", range(2))
def test_what_damage_takes_is_said(seed: int, whole_files: list[Path], tmp_path: Path, stopped_after: Stop) -> None:
    check_seed(seed, whole_files, tmp_path, stopped_after)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
def test_what_damage_takes_is_said_in_300_files(
    seed: int, whole_files: list[Path], tmp_path: Path, stopped_after: Stop
) -> None:
    check_seed(seed, whole_files, tmp_path, stopped_after)
