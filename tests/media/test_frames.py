"""Which frames a clip gives, and that seeking to them gives the same as decoding everything."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from affectgpt.media import Clip, packets, picture
from affectgpt.media.orientation import exif_orientation
from affectgpt.media.packets import Track, demuxed
from affectgpt.media.sampling import frame_times


def numbers(make: SimpleNamespace, path: Path, count: int) -> list[int]:
    pictures = Clip.open(path).frames(count)
    assert pictures is not None
    return [make.number_of(image) for image in pictures.images]


def expected(frames: list[tuple[Fraction, np.ndarray]], count: int) -> tuple[list[float], list[np.ndarray]]:
    """The definition, read off a sequential decoding: for each target the last frame that is not later."""
    gaps = sorted(b[0] - a[0] for a, b in pairwise(frames))
    length = frames[-1][0] - frames[0][0] + gaps[len(gaps) // 2]
    times = [frames[0][0] + target for target in frame_times(length, count)]
    chosen = sorted({max(i for i, (stamp, _) in enumerate(frames) if stamp <= target) for target in times})
    return [float(frames[i][0] - frames[0][0]) for i in chosen], [frames[i][1] for i in chosen]


def test_frames_are_evenly_spaced_rgb_with_their_own_times(talking: Path, make: SimpleNamespace) -> None:
    pictures = Clip.open(talking).frames(8)
    assert pictures is not None
    assert [make.number_of(image) for image in pictures.images] == [2, 7, 12, 17, 22, 27, 32, 37]
    assert pictures.times.dtype == np.float32
    np.testing.assert_allclose(pictures.times, [0.2, 0.7, 1.2, 1.7, 2.2, 2.7, 3.2, 3.7], rtol=1e-6)
    assert {(image.shape, image.dtype) for image in pictures.images} == {((48, 96, 3), np.dtype(np.uint8))}


def test_a_variable_frame_rate_is_sampled_by_time_not_by_number(uneven: Path, make: SimpleNamespace) -> None:
    # Frame 9 + k is shown from k s on; half of the frames lie in the first second.
    pictures = Clip.open(uneven).frames(5)
    assert pictures is not None
    np.testing.assert_allclose(np.diff(pictures.times), 2, atol=0.2)
    assert [make.number_of(image) for image in pictures.images] == [9 + round(float(t)) for t in pictures.times]


@pytest.mark.parametrize(("frames", "count", "expected"), [(1, 8, 1), (3, 8, 3), (8, 8, 8), (9, 8, 8)])
def test_no_frame_is_repeated_to_fill(
    tmp_path: Path, make: SimpleNamespace, frames: int, count: int, expected: int
) -> None:
    numbers_read = numbers(make, make.media(tmp_path / "few.mp4", range(frames)), count)
    assert len(numbers_read) == expected == len(set(numbers_read))


def test_a_count_below_one_is_refused(talking: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Clip.open(talking).frames(0)


@pytest.fixture(scope="module")
def all_ten_minutes(ten_minutes: Path, make: SimpleNamespace) -> list[tuple[Fraction, np.ndarray]]:
    return make.decoded(ten_minutes)


@pytest.mark.parametrize("count", [1, 7, 40, 64])
def test_seeking_gives_what_sequential_decoding_gives(
    ten_minutes: Path, all_ten_minutes: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    sought: list[int] = []
    original = picture._Reader._seek

    def counted(self: Any, container: Any, stream: Any, first: int) -> Any:
        sought.append(first)
        return original(self, container, stream, first)

    monkeypatch.setattr(picture._Reader, "_seek", counted)
    pictures = Clip.open(ten_minutes).frames(count)
    times, images = expected(all_ten_minutes, count)
    assert pictures is not None
    # Nearly every target lies behind a keyframe that is worth jumping to; some frames of the 64 are shown before the
    # keyframe that is stored before them.
    assert count - 5 <= len(sought) <= count
    np.testing.assert_allclose(pictures.times, times, rtol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(pictures.images, images, strict=True))


def test_a_long_clip_is_decoded_only_around_its_frames(ten_minutes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = 0
    original = picture.frames

    def counted(source: Any, damaged: Any) -> Any:
        nonlocal fed
        for frame in original(source, damaged):
            fed += 1
            yield frame

    monkeypatch.setattr(picture, "frames", counted)
    assert Clip.open(ten_minutes).frames(8) is not None
    assert fed < 8 * 45  # of 2400: at most two groups of 20 frames and the reorder delay for each


@pytest.mark.parametrize("fault", ["late", "impossible"])
def test_a_seek_that_fails_or_lands_too_late_changes_nothing(
    ten_minutes: Path, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    right = numbers(make, ten_minutes, 3)
    landed: list[bool] = []
    original = picture._Reader._seek

    def faulty(self: Any, container: Any, stream: Any, first: int) -> Any:
        def seek(stamp: int, **kwargs: Any) -> None:
            if fault == "impossible":
                raise av.FFmpegError(1, "not seekable")
            container.seek(stamp + round(30 / stream.time_base), **kwargs)

        numbers_read = original(
            self, SimpleNamespace(seek=seek, demux=container.demux, file=container.file), stream, first
        )
        landed.append(numbers_read is not None)
        return numbers_read

    monkeypatch.setattr(picture._Reader, "_seek", faulty)
    assert numbers(make, ten_minutes, 3) == right
    assert landed == [False]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("raw.h264", {"container": "h264"}),
        ("guessed.avi", {}),
        ("old.avi", {"codec": "mpeg4"}),
        ("stream.ts", {"container": "mpegts"}),
        ("open.mkv", {"codec_options": {"x264-params": "open-gop=1"}}),
        ("fragments.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("sequence.gif", {"codec": "gif", "pixels": "rgb8"}),
    ],
)
def test_containers_with_late_missing_or_wrong_stamps(
    tmp_path: Path, make: SimpleNamespace, name: str, options: dict[str, Any]
) -> None:
    path = make.media(tmp_path / name, range(40), **options)
    assert numbers(make, path, 8) == [2, 7, 12, 17, 22, 27, 32, 37]
    times = Clip.open(path).frames(8).times  # type: ignore[union-attr]
    step = 5 / 25 if name == "raw.h264" else 5 / 10  # raw H.264 has no clock: libav takes 25 frames per second
    np.testing.assert_allclose(np.diff(times), step, atol=2e-3)


def test_the_stamps_of_an_avi_with_reordered_frames_are_not_believed(tmp_path: Path, make: SimpleNamespace) -> None:
    # One frame is read here, so that nothing else shows the stamps to be wrong.
    assert numbers(make, make.media(tmp_path / "guessed.avi", range(26)), 1) == [13]


def test_frames_that_come_out_of_the_order_of_their_stamps_are_put_in_order(
    tmp_path: Path, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "_guessed_stamps", lambda container, stream: False)
    assert numbers(make, make.media(tmp_path / "wrong.avi", range(40)), 8) == [2, 7, 12, 17, 22, 27, 32, 37]


def test_a_keyframe_shown_after_a_frame_does_not_lead_to_it() -> None:
    # Stored I0 P3 B1 B2 I6 B4 B5 P9: frames 4 and 5 refer to P3, from before the second keyframe.
    track = Track(tick=Fraction(1), rate=Fraction(1))
    for pts, key in [(0, True), (3, False), (1, False), (2, False), (6, True), (4, False), (5, False), (9, False)]:
        fields = {"pts": pts, "dts": None, "duration": 1, "is_corrupt": False, "is_discard": False}
        track.add(SimpleNamespace(**fields, is_keyframe=key))
    assert [track.start_of(pts) for pts in (0, 2, 3, 4, 5, 6, 9)] == [0, 0, 0, 0, 0, 4, 4]
    assert track.end() == 10


def test_reading_ends_where_the_container_cannot_be_read_on() -> None:
    def broken(*streams: Any) -> Any:
        yield "packet"
        raise IndexError  # what PyAV raises when a stream appears that was not announced

    source = SimpleNamespace(file=SimpleNamespace(check=lambda: None))
    assert list(demuxed(SimpleNamespace(demux=broken, file=source))) == ["packet"]


def test_frames_stamped_before_the_start_are_not_shown() -> None:
    assert picture._from([-3, -1, 0, 2], Fraction(0)) == [0, 2]
    assert picture._from([1, 2], Fraction(9)) == [1, 2]  # the header lies: nothing is stamped later


@pytest.mark.parametrize("first", [70, -30])
def test_a_start_other_than_zero_is_time_zero(tmp_path: Path, make: SimpleNamespace, first: int) -> None:
    path = make.media(
        tmp_path / "shifted.mkv", range(first, first + 40), b_frames=0, options={"avoid_negative_ts": "0"}
    )
    pictures = Clip.open(path).frames(4)
    assert pictures is not None
    frame_count = 40 + min(first, 0) if pictures.times[-1] < 3 else 40  # Matroska cannot store stamps before zero
    np.testing.assert_allclose(np.diff(pictures.times), frame_count / 40, atol=0.11)
    assert 0 <= pictures.times[0] < 0.6


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_and_mirroring_are_applied(
    tmp_path: Path, make: SimpleNamespace, rotation: int, mirrored: bool
) -> None:
    path = make.media(tmp_path / "turned.mp4", range(5), rotation=rotation, mirrored=mirrored)
    stored = make.decoded(path)[2][1]
    pictures = Clip.open(path).frames(5)
    assert pictures is not None
    # PyAV turns counter-clockwise, and mirrors after turning.
    turned = np.rot90(stored, rotation // 90)
    expected_image = turned[:, ::-1] if mirrored else turned
    assert np.array_equal(pictures.images[2], expected_image)
    with av.open(str(path)) as file:
        assert mirrored or round(next(file.decode(video=0)).rotation) % 360 == rotation % 360


def exif_jpeg(orientation: int) -> bytes:
    cv2 = pytest.importorskip("cv2")
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:12, :20] = 0, 0, 255
    data = cv2.imencode(".jpg", image)[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_block_says(tmp_path: Path, orientation: int) -> None:
    import cv2

    path = tmp_path / "photo.jpg"
    path.write_bytes(exif_jpeg(orientation))
    pictures = Clip.open(path).frames(1)
    assert pictures is not None
    reference = cv2.imread(str(path))[:, :, ::-1]
    assert pictures.images[0].shape == reference.shape
    assert np.abs(pictures.images[0].astype(int) - reference).mean() < 2


def test_a_broken_exif_block_says_nothing() -> None:
    assert exif_orientation(exif_jpeg(6)) == 6
    assert exif_orientation(exif_jpeg(9)) is None
    assert exif_orientation(b"Exif\0\0MM\0*\xff\xff\xff\xff") is None
    assert exif_orientation(b"Exif\0\0II*\0") is None
    assert exif_orientation(b"no block at all") is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_still_picture_is_one_frame_without_sound(tmp_path: Path, suffix: str) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"a%03d{suffix}"  # a name that libav would read as the pattern of a sequence
    image = np.zeros((30, 50, 3), np.uint8)
    image[:, :25] = 250, 10, 20
    path.write_bytes(cv2.imencode(suffix, image[:, :, ::-1])[1].tobytes())
    clip = Clip.open(path)
    pictures = clip.frames(8)
    assert pictures is not None and len(pictures.images) == 1 and pictures.times.tolist() == [0]
    assert np.abs(pictures.images[0].astype(int) - image)[:, :20].mean() < 3
    assert (clip.has_video, clip.has_audio, clip.waveform(), clip.notes) == (True, False, None, ["no sound"])
    assert 0 <= clip.duration < 0.1


def test_frames_are_decoded_once_and_shared_with_faces(talking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = picture.sample_frames
    monkeypatch.setattr(picture, "sample_frames", lambda *args: calls.append(args) or original(*args))
    clip = Clip.open(talking)
    first = clip.frames(4)
    assert clip.frames(4) is first
    assert clip.faces(4) is clip.faces(4)
    assert len(calls) == 1


def test_real_clips_give_what_sequential_decoding_gives(clips: Path, make: SimpleNamespace) -> None:
    for path in sorted(clips.glob("*.mp4")):
        clip = Clip.open(path)
        pictures = clip.frames(8)
        assert pictures is not None and len(pictures.images) == 8
        assert (np.diff(pictures.times) > 0).all() and pictures.times[0] >= 0 and pictures.times[-1] <= clip.duration
        times, images = expected(make.decoded(path), 8)
        np.testing.assert_allclose(pictures.times, times, rtol=1e-6)
        assert all(np.array_equal(a, b) for a, b in zip(pictures.images, images, strict=True))
