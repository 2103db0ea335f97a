"""What a clip says of a file at opening, and what it says when the file is not what it claims to be."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from affectgpt.media import Clip, Limits
from affectgpt.registry.errors import MediaError


def refusal(path: Path, limits: Limits | None = None) -> str:
    """The message with which `path` is refused; one problem, with all its parts."""
    with pytest.raises(MediaError) as caught:
        Clip.open(path, limits=limits or Limits())
    return complete(caught.value, path)


def complete(error: MediaError, path: Path) -> str:
    (problem,) = error.problems
    assert problem.where == str(path)
    assert problem.found and problem.expected and problem.hint
    return str(error)


def test_importing_the_package_loads_no_media_library() -> None:
    code = "import sys, affectgpt.media; print(sorted({'av', 'cv2', 'torch'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_a_whole_clip(talking: Path) -> None:
    clip = Clip.open(str(talking))
    assert clip.path == talking
    assert clip.duration == pytest.approx(4, abs=0.05)
    assert (clip.has_video, clip.has_audio, clip.subtitle, clip.notes) == (True, True, "", [])


def test_a_silent_video_and_a_sound_without_picture_say_so(tmp_path: Path, make: SimpleNamespace) -> None:
    silent = Clip.open(make.media(tmp_path / "silent.mp4", range(5)))
    assert (silent.has_audio, silent.waveform(), silent.notes) == (False, None, ["no sound"])
    sound = Clip.open(make.media(tmp_path / "sound.m4a", tone=make.tone(1)))
    assert (sound.has_video, sound.frames(8), sound.faces(8), sound.notes) == (False, None, None, ["no picture"])


def test_cover_art_is_no_video(tmp_path: Path, make: SimpleNamespace) -> None:
    plain = make.media(tmp_path / "song.mp3", tone=make.tone(1, codec="mp3")).read_bytes()
    cv2 = pytest.importorskip("cv2")
    image = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes()
    body = b"\0image/png\0\3\0" + image
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
    path = tmp_path / "cover.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + frame + plain[plain.index(b"\xff\xfb") :])
    clip = Clip.open(path)
    assert (clip.has_video, clip.has_audio) == (False, True)
    assert clip.notes == ["the cover art is not used as a picture", "no picture"]


@pytest.mark.parametrize("container", ["h264", "mpegts"])
def test_a_duration_that_the_header_lacks_is_measured(tmp_path: Path, make: SimpleNamespace, container: str) -> None:
    clip = Clip.open(make.media(tmp_path / "raw.bin", range(50), tick=Fraction(1, 25), container=container))
    assert clip.duration == pytest.approx(2, abs=0.1)


def test_a_clip_travels_to_another_process(talking: Path) -> None:
    clip = pickle.loads(pickle.dumps(Clip.open(talking)))
    assert clip.faces(2) is not None and clip.waveform() is not None


def test_what_is_no_media_file(tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    assert "there is no such file" in refusal(missing)
    assert "not a file" in refusal(tmp_path)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty" in refusal(empty)
    text = tmp_path / "text.mp4"
    text.write_text("not a film\n" * 100)
    assert "no known media format" in refusal(text)
    captions = tmp_path / "captions.mp4"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")
    assert "neither picture nor sound" in refusal(captions)
    assert "cannot be read" in refusal(tmp_path / "nul\0.mp4")
    double = tmp_path / "._clip.mp4"
    double.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60))
    assert "AppleDouble" in refusal(double) and "leave it out" in refusal(double)
    (tmp_path / "clip.mp4").touch()
    assert f"name {tmp_path / 'clip.mp4'}" in refusal(double)
    for name, content in (
        (".DS_Store", b"\0\0\0\1Bud1\0\0"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0"),
        ("desktop.ini", b"[.ShellClassInfo]\r\n"),
    ):
        (tmp_path / name).write_bytes(content)
        assert name in refusal(tmp_path / name) and "a file of the system" in refusal(tmp_path / name)
    assert "cannot be read" in refusal(tmp_path / ("n" * 400))


def test_a_file_without_permission(talking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "may not be read" in refusal(talking)


def test_a_playlist_reaches_no_other_file(tmp_path: Path, talking: Path) -> None:
    listing = tmp_path / "listing.mp4"
    for text in (
        f"ffconcat version 1.0\nfile {talking.name}\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4,\nfile://{talking}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ):
        listing.write_text(text)
        (tmp_path / talking.name).write_bytes(talking.read_bytes())
        assert "cannot be opened" in refusal(listing)


def test_limits_are_compared_with_the_header(talking: Path) -> None:
    assert "too large" in refusal(talking, Limits(max_bytes=1000))
    assert "too long" in refusal(talking, Limits(max_seconds=3.5))
    assert "96 x 48 pixels" in refusal(talking, Limits(max_pixels=96 * 48 - 1))
    assert Clip.open(talking, limits=Limits(max_seconds=4.5, max_pixels=96 * 48)).frames(1) is not None


@pytest.mark.parametrize("step", ["open", "frames", "waveform"])
def test_what_takes_too_long_to_read_is_refused(talking: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or a decoder that is not back for minutes."""
    clip = Clip.open(talking)
    clock = itertools.count(0, 700)
    monkeypatch.setattr("affectgpt.media.packets.time.monotonic", lambda: next(clock))
    with pytest.raises(MediaError) as caught:
        Clip.open(talking) if step == "open" else clip.frames(4) if step == "frames" else clip.waveform()
    assert "takes too long" in complete(caught.value, talking) and "not done after 600 s" in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path, talking: Path, stopped_after: Callable) -> None:
    pipe = tmp_path / "a.mp4"
    os.mkfifo(pipe)
    with stopped_after(20):
        assert "a device or a pipe" in refusal(pipe)
        with pytest.raises(MediaError, match="a device or a pipe"):
            Clip.open(talking, sound=pipe)
        assert "a device or a pipe" in refusal(Path("/dev/zero"))


def picture_bomb(width: int, height: int) -> bytes:
    """A PNG of black pixels: few bytes, many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_above_the_limit_is_refused_without_decoding_it(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(picture_bomb(9000, 9000))
    message = refusal(path)
    # Its size is not even known: libav refused the frame before it had one.
    assert "at most 9,437,184 pixels" in message and "a first frame that was refused" in message
    assert Clip.open(path, limits=Limits(max_pixels=9000 * 9000)).has_video


def test_a_header_that_lies_about_the_length(tmp_path: Path, make: SimpleNamespace) -> None:
    data = bytearray(make.media(tmp_path / "lie.mp4", range(100), tick=Fraction(1, 10)).read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20), (b"elst", 12)):
        at = data.index(box) + offset
        data[at - (4 if box == b"elst" else 0) : at + (0 if box == b"elst" else 4)] = struct.pack(">I", 1000)
    lie = tmp_path / "lie.mp4"
    lie.write_bytes(data)
    clip = Clip.open(lie, limits=Limits(max_seconds=5))
    with pytest.raises(MediaError, match="too long"):
        clip.frames(4)


@pytest.fixture
def fast_start(tmp_path: Path, make: SimpleNamespace) -> Path:
    """40 frames and a tone; the index before the data."""
    options = {"movflags": "faststart"}
    return make.media(tmp_path / "fast.mp4", range(40), tone=make.tone(4), options=options)


def cut(path: Path, length: int) -> Path:
    path.write_bytes(path.read_bytes()[:length])
    return path


def test_a_cut_file_without_its_index_is_refused(talking: Path, tmp_path: Path) -> None:
    data = talking.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.index(b"moov") - 4])
    assert "its index is missing" in refusal(path)


def test_a_cut_file_gives_what_is_there_and_says_so(fast_start: Path, make: SimpleNamespace) -> None:
    data = fast_start.read_bytes()
    start = data.index(b"mdat") + 4
    clip = Clip.open(cut(fast_start, start + (len(data) - start) // 2))
    assert 1 < clip.duration < 3
    assert f"the file ends early: {clip.duration:.1f} s of 4.0 s are there" in clip.notes
    pictures, waveform = clip.frames(4), clip.waveform()
    assert pictures is not None and waveform is not None
    numbers = [make.number_of(image) for image in pictures.images]
    assert numbers == sorted(set(numbers)) and len(numbers) == 4 and numbers[-1] > 10
    assert pictures.times[-1] <= clip.duration and 16000 < len(waveform) < 3 * 16000


def test_a_cut_file_with_nothing_left_is_refused(fast_start: Path) -> None:
    cut(fast_start, fast_start.read_bytes().index(b"mdat") + 4)
    assert "ends before its first frame" in refusal(fast_start)


def test_a_sound_that_lasts_shorter_than_the_picture_is_noted(tmp_path: Path, make: SimpleNamespace) -> None:
    clip = Clip.open(make.media(tmp_path / "short.mp4", range(40), tone=make.tone(1)))
    clip.waveform()
    assert clip.notes == ["the sound ends at 1.0 s of 4.0 s"]


def test_damage_in_the_middle_is_skipped_and_noted(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.media(tmp_path / "damaged.mkv", range(60), tone=make.tone(6), gop=60, b_frames=0)
    data = bytearray(path.read_bytes())
    noise = random.Random(0)
    for i in range(len(data) // 3, len(data) // 3 + 3000):
        data[i] = noise.randrange(256)
    path.write_bytes(data)
    clip = Clip.open(path)
    pictures, waveform = clip.frames(8), clip.waveform()
    assert pictures is not None and waveform is not None and len(pictures.images) >= 4
    assert any("damaged" in note for note in clip.notes)


def test_a_picture_of_which_nothing_decodes_is_refused(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.media(tmp_path / "noise.mp4", range(20))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)
    clip = Clip.open(path)
    with pytest.raises(MediaError, match="no frame of the picture") as caught:
        clip.frames(4)
    complete(caught.value, path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_mangled_files_give_a_media_error_or_a_result(
    tmp_path: Path, make: SimpleNamespace, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    codec = "mp3" if suffix == "avi" else "aac"
    path = make.media(tmp_path / f"whole.{suffix}", range(20), tone=make.tone(2, codec=codec))
    content = path.read_bytes()
    draw = random.Random(suffix)
    for _ in range(40):
        data = bytearray(content)
        for _ in range(draw.choice((1, 10, 100))):
            data[draw.randrange(len(data))] = draw.choice((0, 127, 255, draw.randrange(256)))
        path.write_bytes(data[: draw.choice((len(data), draw.randrange(1, len(data))))])
        try:
            clip = Clip.open(path)
            pictures, waveform = clip.frames(3), clip.waveform()
        except MediaError as error:
            complete(error, path)
            continue
        if pictures is not None:
            assert (np.diff(pictures.times) > 0).all() and pictures.times[0] >= 0
        if waveform is not None:
            assert np.abs(waveform).max() <= 1
    assert capfd.readouterr() == ("", "")


def test_a_frame_larger_than_its_header_says_is_refused(tmp_path: Path, make: SimpleNamespace) -> None:
    path = make.media(tmp_path / "grows.ts", range(30), container="mpegts", size=(64, 64))
    larger = make.media(tmp_path / "larger.ts", range(40, 70), container="mpegts", size=(128, 128))
    path.write_bytes(path.read_bytes() + larger.read_bytes())
    clip = Clip.open(path, limits=Limits(max_pixels=64 * 64))
    with pytest.raises(MediaError, match="picture is too large"):
        clip.frames(60)


def two_sounds(path: Path, flagged: list[int]) -> Path:
    """300 Hz and 2 kHz in one file; `flagged` are default."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        for index, stream in enumerate(streams):
            stream.disposition = Disposition.default if index in flagged else Disposition(0)
        for stream, hertz in zip(streams, (300, 2000), strict=True):
            tone = 16000 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("flagged", "index"), [([1], 1), ([0], 0), ([], 0), ([0, 1], 0)])
def test_the_sound_flagged_default_is_heard(tmp_path: Path, flagged: list[int], index: int) -> None:
    clip = Clip.open(two_sounds(tmp_path / "two.mkv", flagged))
    waveform = clip.waveform()
    assert waveform is not None
    hertz = np.abs(np.fft.rfft(waveform)).argmax() * 16000 / len(waveform)
    assert hertz == pytest.approx((300, 2000)[index], abs=2)
    assert clip.notes == [f"one of 2 sounds in the file is used: stream {index}", "no picture"]


def test_a_sound_that_cannot_be_decoded_gives_way_to_one_that_can(tmp_path: Path) -> None:
    # As phones write it: a default sound in a format that few know, and another one.
    path = two_sounds(tmp_path / "two.mkv", [0])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"A_PCM/INT/LIT", b"A_NEW/FORMAT1", 1))
    clip = Clip.open(path)
    waveform = clip.waveform()
    assert waveform is not None
    assert np.abs(np.fft.rfft(waveform)).argmax() * 16000 / len(waveform) == pytest.approx(2000, abs=2)
    assert "one of 2 sounds in the file is used: stream 1" in clip.notes
