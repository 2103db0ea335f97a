"""Absent is absent: no face is no face, and a sound without speech is no voice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from affectgpt.media.array_clip import ArrayClip
from affectgpt.media.clip import SAMPLE_RATE, Clip
from affectgpt.media.presence import pieces
from affectgpt.synthetic.clip import write_clip
from affectgpt.synthetic.difficulty import Difficulty


class Scripted:
    """Finds a face in the frames whose first value is one of `faces`."""

    def __init__(self, *faces: int) -> None:
        self.faces = faces

    def detect(self, image: np.ndarray) -> list[tuple[int, int, int, int]]:
        return [(2, 2, 8, 8)] if int(image[0, 0, 0]) in self.faces else []


def clip_of_frames(*faces: int, count: int = 4) -> Clip:
    frames = np.stack([np.full((20, 30, 3), index, np.uint8) for index in range(count)])
    return ArrayClip(frames, 25.0, None, None, SAMPLE_RATE, "", {}, Scripted(*faces))


def tone(seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(np.arange(int(seconds * SAMPLE_RATE)) * 0.1)).astype(np.float32)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "clip.mp4"
    write_clip(path, 41, "test", 0, Difficulty(seconds=(2.0, 2.5)))
    return path


def test_no_face_is_an_absent_face_and_not_the_whole_frame() -> None:
    clip = clip_of_frames()
    assert clip.present().faces(4) is None
    assert clip.notes == ["no sound", "no face was found in 4 frames: the face is absent"]
    whole = clip_of_frames().present(face="always")
    faces = whole.faces(4)
    assert faces is not None and faces.images[0].shape == (20, 30, 3)
    assert whole.notes[1:] == ["no face found in 4 frames: the whole frame was used"]
    frames = clip.present().frames(4)
    assert frames is not None and len(frames.images) == 4, "the stream `frame` is not asked for a face"


@pytest.mark.parametrize("count", range(1, 13))
def test_a_face_in_a_quarter_of_the_frames_is_present(count: int) -> None:
    for shown in range(1, count + 1):
        clip = clip_of_frames(*range(shown), count=count)
        faces = clip.present().faces(count)
        assert (faces is not None) == (shown >= count / 4)
        if faces is None:
            only = f"a face was found in {shown} of {count} frames only: the face is absent"
            assert clip.notes == ["no sound", only]
        always = clip_of_frames(*range(shown), count=count).present(face="always").faces(count)
        assert always is not None and all(image.shape == (10, 10, 3) for image in always.images)


def test_faces_that_come_with_the_clip_are_present() -> None:
    faces = np.zeros((3, 8, 8, 3), np.uint8)
    assert Clip.from_arrays(faces=faces).present().faces(3) is not None


def test_a_sound_without_speech_is_no_voice_and_still_a_sound() -> None:
    clip = Clip.from_arrays(waveform=tone())
    assert clip.present().waveform() is None
    assert clip.notes == ["no speech: the voice is absent"]
    sound = clip.present(voice="always").waveform()
    assert sound is not None and np.array_equal(sound, tone())
    assert not clip.is_empty()


def test_a_voice_is_present_and_unchanged(voice: Path) -> None:
    clip = Clip.open(voice)
    heard = clip.present().waveform()
    assert heard is not None and np.array_equal(heard, Clip.open(voice).waveform())
    assert "no speech: the voice is absent" not in clip.notes


def test_what_is_decided_is_decided_once(voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgpt.media import voicing

    calls: list[int] = []
    original = voicing.is_speech_by_cues

    def counted(samples: np.ndarray) -> bool:
        calls.append(len(samples))
        return original(samples)

    monkeypatch.setattr(voicing, "is_speech_by_cues", counted)
    clip = Clip.open(voice)
    for resampling in ("sinc", "libav", "sinc"):
        assert clip.present().waveform(resampling) is not None
    assert len(calls) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_to_look_at_lie_in_the_sound_from_its_start_to_its_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 120 * SAMPLE_RATE * (1 + 30 * (seed % 2))))
    places = pieces(samples)
    assert places[0][0] == 0 and places[-1][1] == samples and len(places) <= 20
    assert all(0 < end - start <= 6 * SAMPLE_RATE for start, end in places)
    lengths = [end - start for start, end in places]
    assert max(lengths) - min(lengths) <= 1
    gaps = [start - end for (_, end), (start, _) in pairwise(places)]
    assert not any(gaps) if samples <= 120 * SAMPLE_RATE else max(gaps) - min(gaps) <= 1


def test_a_decision_costs_no_more_in_an_hour_than_in_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgpt.media import voicing

    lengths_looked_at: list[int] = []
    monkeypatch.setattr(voicing, "is_speech_by_cues", lambda samples: lengths_looked_at.append(len(samples)))
    assert Clip.from_arrays(waveform=np.zeros(3600 * SAMPLE_RATE, np.float32)).present().waveform() is None
    assert lengths_looked_at == [6 * SAMPLE_RATE] * 20


@pytest.mark.parametrize("second", [0, 7, 12, 60, 100])
def test_a_voice_is_found_wherever_it_is(voice: Path, second: int) -> None:
    spoken = Clip.open(voice).waveform()
    assert spoken is not None
    sound = np.zeros(120 * SAMPLE_RATE, np.float32)
    sound[second * SAMPLE_RATE :][: len(spoken)] = spoken
    assert Clip.from_arrays(waveform=sound).present().waveform() is not None


def test_nothing_at_all_is_empty() -> None:
    clip = Clip.open(Path(__file__).parent / "no_samples.wav")
    assert clip.is_empty() and clip.present().waveform() is None
    assert clip.notes[-1] == "no sound could be decoded"


def test_a_recording_of_a_person_has_a_face_and_a_voice() -> None:
    clip = Clip.open(Path(__file__).parents[2] / "examples" / "clips" / "astronaut_voice.mp4").present()
    assert clip.faces(6) is not None and clip.waveform() is not None and clip.notes == []
