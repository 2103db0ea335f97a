"""Every sample and frame is where its stamp says, measured from the clip's first stamp, in each container that has
stamps. In AVI and WAV sound has none: what follows a gap comes right behind what was before it."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from affectgpt.media import SAMPLE_RATE, Clip, Limits
from affectgpt.media.sound import _Timeline
from affectgpt.registry.errors import MediaError

RATE = 48000
QUIET = 0.06
"""Seconds of silence at both ends of each piece: an encoder passes the last samples before a gap on after it."""
PIECE = 0.5
OFFSET = 5.2
NEAR = 0.05

Pieces = Sequence[tuple[float, float]]
"""(seconds at which a piece of sound begins, hertz)."""


@dataclass(frozen=True)
class Container:
    """How a container is written. `stamped`: its sound has stamps."""

    suffix: str
    sound: str
    picture: str | None = None
    frame: int = 1024
    stamped: bool = True
    options: dict[str, str] = field(default_factory=dict)


CONTAINERS = {
    "mp4": Container("mp4", "aac", "libx264"),
    "fragmented mp4": Container("mp4", "aac", "libx264", options={"movflags": "frag_keyframe+empty_moov"}),
    "mkv": Container("mkv", "aac", "libx264"),
    "mkv, PCM": Container("mkv", "pcm_s16le", "libx264"),
    "webm": Container("webm", "libopus", "libvpx", frame=960),
    "ts": Container("ts", "aac", "libx264"),
    "ts, MP2": Container("ts", "mp2", "mpeg2video", frame=1152),
    "flv": Container("flv", "aac", "flv"),
    # Ogg has a stamp at the end of each page, which is one second as libav writes it. Where in its page a gap lies is
    # not said: one packet too far here, and a gap in the first page is a late start.
    "ogg": Container("ogg", "libopus", frame=960),
    "avi": Container("avi", "pcm_s16le", "mpeg4", stamped=False),
    "avi, MP3": Container("avi", "libmp3lame", "mpeg4", frame=1152, stamped=False),
    "wav": Container("wav", "pcm_s16le", stamped=False),
}
STAMPED = [name for name, container in CONTAINERS.items() if container.stamped]
WITH_PICTURE = [name for name in STAMPED if CONTAINERS[name].picture]

PLACES: dict[str, tuple[float, Pieces]] = {
    "offset": (OFFSET, [(0, 300), (0.5, 2000)]),
    "start": (0, [(1.2, 2000)]),
    "middle": (0, [(0, 300), (0.5, 300), (2.0, 2000), (2.5, 300)]),
    "end": (0, [(0, 300), (0.5, 300), (2.4, 2000)]),
}
"""Where the clock starts, and the sound; the event is the piece of 2 kHz."""


def event(pieces: Pieces) -> float:
    """When the tone of 2 kHz begins, seconds."""
    return next(start + QUIET for start, hertz in pieces if hertz == 2000)


def write(path: Path, container: Container, offset: float, pieces: Pieces, flash: int | None = None) -> Path:
    """Pieces of tones without packets between them, and 3 s of black picture in which frame `flash` is white."""
    with av.open(str(path), "w", options=container.options) as out:
        sound = out.add_stream(container.sound, rate=RATE, layout="mono")
        picture = None
        if flash is not None and container.picture is not None:
            picture = out.add_stream(container.picture, rate=25)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
            picture.codec_context.max_b_frames = 0
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=RATE)
        for start, hertz in pieces:
            # Whole frames only: one that is half before a gap and half behind it has a single stamp.
            count = int(PIECE * RATE) // container.frame * container.frame
            wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(count) / RATE)
            wave[: int(QUIET * RATE)] = wave[-int(QUIET * RATE) :] = 0
            for first in range(0, count, container.frame):
                values = wave[None, first : first + container.frame].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(values, "fltp", "mono")
                frame.sample_rate = RATE
                (frame,) = resampler.resample(frame)
                frame.pts, frame.time_base = round((offset + start) * RATE) + first, Fraction(1, RATE)
                out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        if picture is not None:
            for number in range(75):
                image = np.full((48, 64, 3), 255 * (number == flash), np.uint8)
                video_frame = av.VideoFrame.from_ndarray(image, "rgb24")
                video_frame.pts, video_frame.time_base = round(offset * 25) + number, Fraction(1, 25)
                out.mux(picture.encode(video_frame))
            out.mux(picture.encode(None))
    return path


def onset(waveform: np.ndarray | None, hertz: float = 2000) -> float:
    """When a tone of `hertz` begins, seconds."""
    assert waveform is not None
    window = 320
    reference = np.hanning(window) * np.exp(-2j * np.pi * hertz * np.arange(window) / SAMPLE_RATE)
    windows = np.lib.stride_tricks.sliding_window_view(waveform, window)[::40]
    loud = np.abs(windows @ reference) > 0.2 * window / 4
    assert loud.any(), "no such tone"
    return float(loud.argmax() * 40 + window / 2) / SAMPLE_RATE


def flash_time(clip: Clip) -> float:
    """When the white frame is shown, seconds."""
    pictures = clip.frames(500)
    assert pictures is not None
    (bright,) = [k for k, image in enumerate(pictures.images) if image.mean() > 127]
    return float(pictures.times[bright])


def matched(notes: list[str], place: str) -> list[str]:
    """The note of a late or interrupted sound, which must be among `notes`; none of a whole one."""
    if place == "offset":
        return []
    gaps = r"the sound has gaps: [01]\.\d\d s are silent"
    # A fragment's first packet may be stamped 0 and last until the second.
    pattern = rf"the sound begins at 1\.[123] s of 3\.[01] s|{gaps}" if place == "start" else gaps
    (note,) = [note for note in notes if re.fullmatch(pattern, note)]
    return [note]


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("name", WITH_PICTURE)
def test_sound_and_picture_are_where_their_stamps_say(tmp_path: Path, name: str, place: str) -> None:
    container, (offset, pieces) = CONTAINERS[name], PLACES[place]
    clip = Clip.open(write(tmp_path / f"a.{container.suffix}", container, offset, pieces, flash=50))
    assert onset(clip.waveform()) == pytest.approx(event(pieces), abs=NEAR)
    assert flash_time(clip) == pytest.approx(2, abs=NEAR)
    assert clip.duration == pytest.approx(3, abs=NEAR)
    assert [note for note in clip.notes if "the sound ends" not in note] == matched(clip.notes, place)


@pytest.mark.parametrize("place", ["offset", "middle", "end"])
@pytest.mark.parametrize(
    "name", [name if name == "ogg" else pytest.param(name, marks=pytest.mark.slow) for name in STAMPED]
)
def test_sound_alone_is_where_its_stamps_say(tmp_path: Path, name: str, place: str) -> None:
    container, (offset, pieces) = CONTAINERS[name], PLACES[place]
    clip = Clip.open(write(tmp_path / f"a.{container.suffix}", container, offset, pieces))
    waveform = clip.waveform()
    assert onset(waveform) == pytest.approx(event(pieces), abs=NEAR)
    length = pieces[-1][0] + PIECE
    assert waveform is not None and len(waveform) / SAMPLE_RATE == pytest.approx(length, abs=NEAR)
    assert clip.duration == pytest.approx(length, abs=NEAR)
    assert clip.notes == ["no picture", *matched(clip.notes, place)]


@pytest.mark.parametrize("name", [name for name, container in CONTAINERS.items() if not container.stamped])
def test_where_sound_has_no_stamps_all_of_it_is_heard(tmp_path: Path, name: str) -> None:
    container = CONTAINERS[name]
    flash = 50 if container.picture else None
    clip = Clip.open(write(tmp_path / f"a.{container.suffix}", container, *PLACES["end"], flash=flash))
    waveform = clip.waveform()
    assert waveform is not None and len(waveform) / SAMPLE_RATE == pytest.approx(3 * PIECE, abs=NEAR)
    assert onset(waveform) == pytest.approx(2 * PIECE + QUIET, abs=NEAR)
    if container.picture:
        assert flash_time(clip) == pytest.approx(2, abs=NEAR)
        assert "the sound ends at 1.5 s of 3.0 s" in clip.notes


@pytest.mark.parametrize("resampling", ["libav", "sinc"])
@pytest.mark.parametrize("seed", range(4))
def test_any_gaps(tmp_path: Path, seed: int, resampling: str) -> None:
    draw = np.random.default_rng(seed)
    starts = np.cumsum(draw.uniform(PIECE + 0.06, PIECE + 2, 4)) - PIECE
    pieces = [(float(start), 300.0) for start in starts[:-1]] + [(float(starts[-1]), 2000.0)]
    clip = Clip.open(write(tmp_path / "a.mkv", CONTAINERS["mkv, PCM"], 0, pieces, flash=0))
    waveform = clip.waveform(resampling)  # type: ignore[arg-type]
    assert onset(waveform) == pytest.approx(event(pieces), abs=NEAR)
    # Between the pieces there is silence, and nowhere else.
    assert waveform is not None
    levels = np.abs(waveform[: len(waveform) // 160 * 160]).reshape(-1, 160).max(axis=1) > 0.1
    assert np.count_nonzero(np.diff(levels.astype(int)) == 1) == len(pieces)


def write_packets(path: Path, stamps: Sequence[float], hertz: Sequence[float], rate: int = 8000) -> Path:
    """PCM packets of 0.1 s, each with a stamp of its own."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for stamp, pitch in zip(stamps, hertz, strict=True):
            wave = 16000 * np.sin(2 * np.pi * pitch * np.arange(rate // 10) / rate)
            packet = av.Packet(wave.astype("<i2").tobytes())
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = round(stamp * 1000)
            packet.duration = 100
            out.mux(packet)
    return path


def test_stamps_that_wobble_change_nothing(tmp_path: Path) -> None:
    even = np.arange(60) / 10
    wobble = np.random.default_rng(0).uniform(-0.02, 0.02, 60)
    hertz = np.linspace(200, 2000, 60)
    waveforms = [
        Clip.open(write_packets(tmp_path / name, stamps, hertz)).waveform()
        for name, stamps in (("even.mkv", even), ("wobble.mkv", np.maximum(even + wobble, 0)))
    ]
    assert waveforms[0] is not None and waveforms[1] is not None
    shift = len(waveforms[1]) - len(waveforms[0])
    assert abs(shift) < NEAR * SAMPLE_RATE
    np.testing.assert_array_equal(waveforms[0], waveforms[1][max(0, shift) :])


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_a_clock_that_runs_otherwise_than_the_sound_is_followed(tmp_path: Path, speed: float) -> None:
    stamps = np.arange(200) / 10 * speed
    clip = Clip.open(write_packets(tmp_path / "drift.mkv", stamps, [300] * 190 + [2000] * 10))
    assert onset(clip.waveform()) == pytest.approx(stamps[190], abs=1.2 * NEAR)
    assert any("overlap" in note for note in clip.notes) == (speed < 1)


def test_one_damaged_stamp_does_not_count(tmp_path: Path) -> None:
    stamps = np.arange(30) / 10
    path = write_packets(tmp_path / "a.mkv", stamps, [300] * 20 + [2000] * 10)
    data = bytearray(path.read_bytes())
    # A block: number of the track, its stamp within the cluster (16 bits), flags, samples.
    spot = data.index(struct.pack(">BhB", 0x81, 1000, 0x80))
    data[spot + 1 : spot + 3] = struct.pack(">h", 25_000)
    path.write_bytes(data)
    clip = Clip.open(path)
    assert onset(clip.waveform()) == pytest.approx(2, abs=NEAR)
    assert "1 stamp of the sound cannot be right and did not count" in clip.notes


def test_a_gap_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_packets(tmp_path / "a.mkv", [0, 0.1, 36_000, 36_000.1], [300] * 4)
    with pytest.raises(MediaError, match="too long"):
        Clip.open(path).waveform()
    assert Clip.open(path, limits=Limits(max_seconds=40_000)).duration == pytest.approx(36_000.2, abs=NEAR)


def test_joined_files_keep_all_of_their_sound(tmp_path: Path) -> None:
    container = CONTAINERS["ts"]
    one = write(tmp_path / "a.ts", container, 0, [(0, 300), (0.5, 300), (1, 300), (1.5, 300)]).read_bytes()
    two = write(tmp_path / "b.ts", container, 0, [(0, 300), (0.5, 2000)]).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(one + two)
    clip = Clip.open(path)
    waveform = clip.waveform()
    assert onset(waveform) == pytest.approx(2.5 + QUIET, abs=2 * NEAR)
    assert "the clock of the sound goes back 1 time: the sound goes on there" in clip.notes


def timeline(duration: float = 100) -> _Timeline:
    return _Timeline(Path("a"), duration, Limits(), 1000)


def test_sound_that_is_there_twice_is_heard_once() -> None:
    line = timeline()
    for stamp, after in ((0.0, 0.1), (0.1, -0.3), (-0.3, -0.2), (-0.2, None)):
        step = line.step(stamp + 1, 0.1, None if after is None else after + 1)
        if step:
            line.move(step)
        line.add([np.full(100, stamp, np.float32)])
        line.advance(0.1)
    assert line.clock == pytest.approx(0.9) and line.count == 1200
    assert line.notes()[-1] == "the stamps of the sound overlap: 0.50 s were left out"


def test_a_stamp_behind_the_end_of_the_clip_does_not_count() -> None:
    line = timeline(duration=2)
    assert line.step(0.0, 1, 50.0) == 0
    line.advance(1)
    assert line.step(50.0, 1, 51.0) == 0
    assert line.notes() == ["1 stamp of the sound cannot be right and did not count"]


def test_another_length_of_matroska_files(tmp_path: Path, make: SimpleNamespace) -> None:
    # Some writers state the length from the first stamp on, libav the last stamp: both are told apart.
    path = make.media(tmp_path / "late.mkv", range(40, 60), b_frames=0)
    assert Clip.open(path).duration == pytest.approx(2, abs=0.01)
    data = bytearray(path.read_bytes())
    spot = data.index(b"\x44\x89\x88") + 3
    assert struct.unpack(">d", data[spot : spot + 8])[0] == pytest.approx(6000, abs=10)
    data[spot : spot + 8] = struct.pack(">d", 2000.0)
    path.write_bytes(data)
    clip = Clip.open(path)
    assert clip.duration == pytest.approx(2, abs=0.01) and clip.notes == ["no sound"]


def test_a_late_file_that_ends_early_says_so(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.media(tmp_path / "late.mkv", range(40, 140), b_frames=0, gop=5)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clip = Clip.open(path)
    assert 2 < clip.duration < 8
    assert f"the file ends early: {clip.duration:.1f} s of 10.0 s are there" in clip.notes


def edit(path: Path, handler: bytes, edits: Sequence[tuple[float, int]]) -> Path:
    """Give the MP4 file's track of `handler` an edit list: (seconds, first tick of the media, -1 for a pause)."""
    data = bytearray(path.read_bytes())

    def size_of(spot: int) -> int:
        return int.from_bytes(data[spot : spot + 4], "big")

    moov = data.index(b"moov") - 4
    (scale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    track = moov + 8
    while data[track + 4 : track + 8] != b"trak" or handler not in data[track : track + size_of(track)]:
        track += size_of(track)
    table = struct.pack(">II", 0, len(edits))
    table += b"".join(struct.pack(">Iihh", round(seconds * scale), first, 1, 0) for seconds, first in edits)
    box = struct.pack(">I4sI4s", len(table) + 16, b"edts", len(table) + 8, b"elst") + table
    spot = data.index(b"edts", track, track + size_of(track)) - 4
    grown = len(box) - size_of(spot)
    data[spot : spot + size_of(spot)] = box
    for outer in (track, moov):
        data[outer : outer + 4] = (size_of(outer) + grown).to_bytes(4, "big")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("edits", "begins", "length"),
    [
        ([(1, -1), (1.5, 0)], 2.0, 2.5),
        ([(0.5, 0), (1.5, -1), (1, RATE)], 2.0, 3.0),
        ([(0.5, 0), (9, -1), (0.5, RATE)], 9.5, 10.0),
        ([(0.5, -1), (0.5, 0), (0.25, -1), (0.25, -1), (1, RATE)], 1.5, 2.5),
        ([(0.5, RATE // 2), (0.5, 0), (0.5, RATE)], 1.0, 1.5),
        ([(0.5, RATE)], 0.0, 3.0),
    ],
    ids=["late", "paused", "long pause", "two pauses", "repeated", "cut"],
)
def test_edit_lists_are_followed(tmp_path: Path, edits: list[tuple[float, int]], begins: float, length: float) -> None:
    container = CONTAINERS["mp4"]
    path = write(tmp_path / "a.mp4", container, 0, [(0, 300), (0.5, 300), (1.0, 2000)], flash=0)
    clip = Clip.open(edit(path, b"soun", edits))
    waveform = clip.waveform()
    assert onset(waveform) == pytest.approx(begins + QUIET, abs=NEAR)
    assert clip.duration == pytest.approx(max(3, length), abs=0.5)
    known = ("the sound ends", "the picture ends", "the sound begins", "the sound has gaps")
    assert [note for note in clip.notes if not note.startswith(known)] == []
    silent = any(start < 0 for _, start in edits)
    assert any("begins" in note or "gaps" in note for note in clip.notes) == silent
    # Pauses are silent.
    assert waveform is not None
    clock = 0.0
    for seconds, first in edits:
        if first == -1:
            middle = waveform[round((clock + NEAR) * SAMPLE_RATE) : round((clock + seconds - NEAR) * SAMPLE_RATE)]
            assert len(middle) and not middle.any()
        clock += seconds


def test_a_pause_in_the_picture_shows_the_frame_before_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", CONTAINERS["mp4"], 0, [(0, 300)], flash=30)
    # The picture's clock has 12,800 ticks a second.
    clip = Clip.open(edit(path, b"vide", [(1, 0), (2, -1), (1, 12_800)]))
    pictures = clip.frames(500)
    assert pictures is not None
    gap = np.diff(pictures.times).argmax()
    assert pictures.times[gap] == pytest.approx(0.96, abs=0.01) and pictures.times[gap + 1] == pytest.approx(
        3, abs=NEAR
    )
    assert flash_time(clip) == pytest.approx(3.2, abs=NEAR)


def test_a_clip_whose_stamps_begin_at_10_s_lasts_2_s() -> None:
    clip = Clip.open(Path(__file__).parent / "files" / "mkv_starts_at_10s.mkv")
    pictures = clip.frames(2)
    assert pictures is not None and pictures.times.max() < 2
    assert clip.duration == pytest.approx(2, abs=0.01) and clip.notes == ["no sound"]
