"""A clip whose sound and face pictures lie in files of their own."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from affectgpt.media import Clip, Limits
from affectgpt.media.face_array import FaceArray
from affectgpt.registry.errors import MediaError


def pictures(count: int, size: tuple[int, int] = (6, 4)) -> np.ndarray:
    """`[T, H, W, 3]` BGR: picture k is k in blue, 100 + k in green, 200 + k in red."""
    levels = np.arange(count)[:, None] + [0, 100, 200]
    return np.broadcast_to(levels[:, None, None], (count, *size, 3)).astype(np.uint8)


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    def write(array: np.ndarray, name: str = "faces.npy") -> Path:
        np.save(tmp_path / name, array)
        return tmp_path / name

    return write


def numbers(clip: Clip, count: int) -> list[int]:
    faces = clip.faces(count)
    assert faces is not None
    return [int(image[0, 0, 2]) for image in faces.images]


@pytest.mark.parametrize("order", ["C", "F"])
def test_stored_faces_come_in_rgb_evenly_spread(talking: Path, stored: Any, order: Any) -> None:
    clip = Clip.open(talking, faces=stored(np.asarray(pictures(8), order=order)))
    assert numbers(clip, 4) == [1, 3, 5, 7]
    faces = clip.faces(4)
    assert faces is not None and clip.faces(4) is faces
    assert faces.times.dtype == np.float32
    assert faces.times.tolist() == pytest.approx([k * clip.duration / 8 for k in (1, 3, 5, 7)])
    for image in faces.images:
        assert image.shape == (6, 4, 3) and image.dtype == np.uint8
        assert image.flags.c_contiguous and image.flags.writeable and image.flags.owndata
    assert faces.images[0][0, 0].tolist() == [201, 101, 1]
    assert numbers(clip, 1) == [4] and numbers(clip, 8) == list(range(8))
    assert not clip.notes


def test_stored_faces_in_rgb_are_not_turned(talking: Path, stored: Any) -> None:
    faces = Clip.open(talking, faces=str(stored(pictures(3))), face_order="rgb").faces(1)
    assert faces is not None and faces.images[0][0, 0].tolist() == [1, 101, 201]


@pytest.mark.parametrize(("stored_count", "count"), [(3, 8), (1, 5), (7, 7), (10, 3), (100, 64)])
def test_no_stored_picture_is_repeated(talking: Path, stored: Any, stored_count: int, count: int) -> None:
    clip = Clip.open(talking, faces=stored(pictures(stored_count)))
    expected = sorted({int((i + 0.5) * stored_count / count) for i in range(count)})
    faces = clip.faces(count)
    assert faces is not None and [int(image[0, 0, 2]) for image in faces.images] == expected
    assert (np.diff(faces.times) > 0).all() and faces.times[-1] < clip.duration
    with pytest.raises(ValueError, match="at least 1"):
        clip.faces(0)


def test_frames_stay_the_clips_own(talking: Path, stored: Any) -> None:
    plain, with_faces = Clip.open(talking), Clip.open(talking, faces=stored(pictures(3)))
    a, b = plain.frames(2), with_faces.frames(2)
    assert a is not None and b is not None and np.array_equal(a.images[0], b.images[0])


def test_faces_of_a_sound_without_a_picture(tmp_path: Path, make: SimpleNamespace, stored: Any) -> None:
    clip = Clip.open(make.media(tmp_path / "sound.m4a", tone=make.tone(1)), faces=stored(pictures(4)))
    assert (clip.has_video, clip.frames(2)) == (False, None) and numbers(clip, 2) == [1, 3]


def test_a_clip_without_a_length_has_one_face(stored: Any) -> None:
    images, times = FaceArray.open(stored(pictures(9)), "bgr", Limits()).pictures(4, 0.0)
    assert [int(image[0, 0, 2]) for image in images] == [4] and times == [0.0]


def test_a_clip_with_stored_faces_travels_to_another_process(talking: Path, stored: Any) -> None:
    clip = pickle.loads(pickle.dumps(Clip.open(talking, faces=stored(pictures(4)), sound=talking)))
    assert numbers(clip, 2) == [1, 3] and clip.waveform() is not None


BAD = {
    "three sides": np.zeros((4, 5, 3), np.uint8),
    "four channels": np.zeros((2, 4, 4, 4), np.uint8),
    "floats": np.zeros((2, 4, 4, 3), np.float32),
    "signed": np.zeros((2, 4, 4, 3), np.int8),
    "no picture": np.zeros((0, 4, 4, 3), np.uint8),
    "no pixel": np.zeros((2, 0, 4, 3), np.uint8),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_of_another_kind_are_refused(talking: Path, stored: Any, case: str) -> None:
    path = stored(BAD[case])
    with pytest.raises(MediaError) as caught:
        Clip.open(talking, faces=path)
    assert str(path) in str(caught.value)
    assert str(list(BAD[case].shape)) in str(caught.value) or "cannot be read" in str(caught.value)


def lying(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode()


def sound_file() -> bytes:
    file = io.BytesIO()
    np.save(file, pictures(4))
    return file.getvalue()


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


DAMAGED = {
    "nothing": b"",
    "words": b"words",
    "cut": sound_file()[:-1],
    "a shape that lies": lying("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 100, 100, 3), }\n"),
    "a shape beyond numbers": lying(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({'9' * 30}, 1, 1, 3), }}\n"),
    "a negative shape": lying("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -1, 1, 3), }\n") + b"abc",
    "an open header": lying("(" * 5_000),
    "a zip": b"PK\3\4" + b"\0" * 100,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_arrays_are_refused(talking: Path, tmp_path: Path, case: str) -> None:
    path = tmp_path / "faces.npy"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(MediaError, match="cannot be read"):
        Clip.open(talking, faces=path)


def test_objects_are_not_unpickled(talking: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.array([Runs(tmp_path / "witness")], dtype=object), allow_pickle=True)
    with pytest.raises(MediaError, match="cannot be read"):
        Clip.open(talking, faces=tmp_path / "faces.npy")
    assert not (tmp_path / "witness").exists()


def test_arrays_that_are_missing_too_large_or_change(talking: Path, tmp_path: Path, stored: Any) -> None:
    for path in (tmp_path / "nowhere.npy", tmp_path):
        with pytest.raises(MediaError, match=str(path)):
            Clip.open(talking, faces=path)
    path = stored(pictures(4, (200, 200)))
    with pytest.raises(MediaError, match="200 x 200 pixels"):
        Clip.open(talking, faces=path, limits=Limits(max_pixels=20_000))
    with pytest.raises(MediaError, match="480,128 bytes"):
        Clip.open(talking, faces=path, limits=Limits(max_bytes=100_000))
    clip = Clip.open(talking, faces=path)
    stored(pictures(3, (200, 200)))
    with pytest.raises(MediaError, match="changed"):
        clip.faces(2)


def loudness(clip: Clip) -> float:
    waveform = clip.waveform()
    assert waveform is not None
    return float(np.sqrt((waveform**2).mean()))


def test_the_separate_sound_is_heard(tmp_path: Path, make: SimpleNamespace) -> None:
    loud = make.media(tmp_path / "loud.mp4", range(20), tone=make.tone(2, level=0.5))
    quiet = make.media(tmp_path / "quiet.wav", tone=make.tone(1, level=0.05, codec="pcm_s16le"))
    assert loudness(Clip.open(loud)) > 0.2
    clip = Clip.open(loud, sound=quiet)
    assert loudness(clip) < 0.1
    waveform = clip.waveform()
    assert waveform is not None and len(waveform) == pytest.approx(16000, abs=200)
    assert clip.duration == pytest.approx(2, abs=0.1) and clip.frames(2) is not None


def test_a_silent_video_gets_a_sound(tmp_path: Path, make: SimpleNamespace) -> None:
    silent = make.media(tmp_path / "silent.mp4", range(10))
    sound = make.media(tmp_path / "sound.wav", tone=make.tone(1, codec="pcm_s16le"))
    clip = Clip.open(silent, sound=str(sound))
    assert clip.has_audio and clip.has_video and clip.notes == [] and clip.waveform() is not None


def test_sound_files_without_sound_are_refused(talking: Path, tmp_path: Path, make: SimpleNamespace) -> None:
    silent = make.media(tmp_path / "silent.mp4", range(5))
    with pytest.raises(MediaError, match="holds no sound") as caught:
        Clip.open(talking, sound=silent)
    assert str(silent) in str(caught.value)
    (tmp_path / "words.wav").write_text("words")
    for path in (tmp_path / "words.wav", tmp_path / "nowhere.wav"):
        with pytest.raises(MediaError, match=str(path)):
            Clip.open(talking, sound=path)
    long = make.media(tmp_path / "long.wav", tone=make.tone(5, codec="pcm_s16le"))
    with pytest.raises(MediaError, match=r"long\.wav"):
        Clip.open(talking, sound=long, limits=Limits(max_seconds=4.5))
