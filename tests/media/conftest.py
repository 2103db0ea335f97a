"""Small media files, written by the tests themselves. Frame i shows the binary digits of i as black and white columns,
so that a test can read off which frame it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

DIGITS = 12


def drawn(number: int, size: tuple[int, int]) -> np.ndarray:
    """Frame `number`: uint8 RGB [H, W, 3], column k white when binary digit k is 1."""
    width, height = size
    edges = np.linspace(0, width, DIGITS + 1).round().astype(int)
    row = np.zeros(width, np.uint8)
    for k in range(DIGITS):
        row[edges[k] : edges[k + 1]] = 255 * ((number >> k) & 1)
    return np.repeat(np.broadcast_to(row, (height, width))[..., None], 3, axis=2)


def number_of(image: np.ndarray) -> int:
    """The number that an upright frame shows."""
    height, width = image.shape[:2]
    centres = ((np.arange(DIGITS) + 0.5) * width / DIGITS).astype(int)
    return int(sum(1 << k for k, x in enumerate(centres) if image[height // 2, x, 1] > 127))


@dataclass(frozen=True)
class Tone:
    """A sine of `hertz` at amplitude `level` on every channel; `delay` seconds after the picture's start."""

    seconds: float
    hertz: float = 440
    level: float = 0.5
    rate: int = 44100
    layout: str = "stereo"
    codec: str = "aac"
    delay: float = 0


def write_media(
    path: Path,
    stamps: Sequence[int] = (),
    *,
    tick: Fraction = Fraction(1, 10),
    tone: Tone | None = None,
    size: tuple[int, int] = (96, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    gop: int = 10,
    b_frames: int = 2,
    container: str | None = None,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
) -> Path:
    """Frames at `stamps` (in ticks) and a tone, in the format of the suffix."""
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        video = audio = None
        if stamps:
            video = out.add_stream(codec, rate=round(1 / tick))
            video.width, video.height, video.pix_fmt = *size, pixels
            video.codec_context.gop_size = gop
            video.codec_context.max_b_frames = b_frames
            video.codec_context.time_base = tick
            video.options = {"preset": "ultrafast", "bf": str(b_frames)} if codec == "libx264" else {}
            video.options |= codec_options or {}
            if rotation is not None or mirrored:
                video.set_display_rotation(rotation or 0, hflip=mirrored)
        if tone is not None:
            audio = out.add_stream(tone.codec, rate=tone.rate, layout=tone.layout)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(drawn(number, size), "rgb24")
            frame.pts, frame.time_base = stamp, tick
            out.mux(video.encode(frame))
        if video is not None:
            out.mux(video.encode(None))
        if audio is not None and tone is not None:
            for frame in _sine(tone):
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def _sine(tone: Tone) -> Iterator[av.AudioFrame]:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[tone.layout]
    wave = tone.level * np.sin(2 * np.pi * tone.hertz * np.arange(round(tone.seconds * tone.rate)) / tone.rate)
    yield from audio_frames(np.tile(wave.astype(np.float32), (channels, 1)), tone.rate, tone.layout, tone.delay)


def audio_frames(wave: np.ndarray, rate: int, layout: str, delay: float = 0) -> Iterator[av.AudioFrame]:
    """`wave` [C, S] float32 in frames of 1024 samples."""
    for start in range(0, wave.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + 1024]), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start + round(delay * rate), Fraction(1, rate)
        yield frame


def write_wave(path: Path, wave: np.ndarray, rate: int, *, layout: str = "mono", codec: str = "pcm_f32le") -> Path:
    """`wave` [C, S] float32 as a WAV file."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, wave.shape[1], 1024):
            samples = wave[:, start : start + 1024].T.reshape(1, -1).copy()
            packed = av.AudioFrame.from_ndarray(samples, "flt", layout)
            packed.sample_rate, packed.pts, packed.time_base = rate, start, Fraction(1, rate)
            out.mux(stream.encode(packed))
        out.mux(stream.encode(None))
    return path


def write_sound(path: Path, wave: np.ndarray, rate: int, *, layout: str = "mono", codec: str = "aac") -> Path:
    """`wave` [C, S] float32, compressed, in the format of the suffix."""
    with av.open(str(path), "w", format="adts" if path.suffix == ".aac" else None) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for frame in audio_frames(wave, rate, layout):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    """All frames in the order of the decoder, stamps in seconds: what sequential reading gives."""
    with av.open(str(path)) as file:
        return [
            (frame.pts * Fraction(frame.time_base), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)
        ]


@pytest.fixture(scope="session")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def talking(media_dir: Path) -> Path:
    """4 s, 10 frames per second, H.264 with B-frames and AAC."""
    return write_media(media_dir / "talking.mp4", range(40), tone=Tone(4))


@pytest.fixture(scope="session")
def uneven(media_dir: Path) -> Path:
    """A variable frame rate: frames at 0, 0.1, ..., 0.9 s, then at 1, 2, ..., 9 s."""
    return write_media(media_dir / "uneven.mp4", [*range(10), *range(10, 100, 10)])


@pytest.fixture(scope="session")
def ten_minutes(media_dir: Path) -> Path:
    """600 s at 4 frames per second, a keyframe every 20 frames, open groups of pictures."""
    return write_media(
        media_dir / "ten_minutes.mp4",
        range(2400),
        tick=Fraction(1, 4),
        size=(96, 64),
        gop=20,
        codec_options={"x264-params": "open-gop=1"},
    )


@pytest.fixture(scope="session")
def clips(shared: Path) -> Path:
    """The folder of real clips."""
    if not (shared / "clips").is_dir():
        pytest.skip("the reference folder holds no real clips")
    return shared / "clips"


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The writers and readers above, for the tests of this folder."""
    return SimpleNamespace(
        media=write_media,
        wave=write_wave,
        sound=write_sound,
        tone=Tone,
        drawn=drawn,
        number_of=number_of,
        decoded=decoded,
    )
