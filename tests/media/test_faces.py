from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.media import Clip, HaarFaceDetector
from affectgpt.media.faces import Box, face_crops, square_crop


class Scripted:
    """A detector that answers by the value of an image's first pixel."""

    def __init__(self, answers: dict[int, list[Box]]) -> None:
        self.answers = answers

    def detect(self, image: np.ndarray) -> list[Box]:
        return self.answers.get(int(image[0, 0, 0]), [])


def images(count: int) -> list[np.ndarray]:
    columns = np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None], (60, 80, 3))
    frames = []
    for i in range(count):
        frame = columns.copy()
        frame[0, 0] = i
        frames.append(frame)
    return frames


def test_the_largest_face_is_cut_out_with_its_margin() -> None:
    (crop,), _, notes = face_crops(images(1), [0.0], Scripted({0: [(2, 2, 5, 5), (30, 20, 20, 20)]}))
    assert notes == []
    assert crop.shape == (26, 26, 3)  # 20 and 15 % on each side
    assert (crop[5, 0, 0], crop[5, -1, 0]) == (27, 52)


def test_a_frame_without_a_face_takes_the_place_of_the_nearest_that_has_one() -> None:
    detector = Scripted({0: [(0, 10, 20, 20)], 3: [(50, 10, 20, 20)]})
    crops, _, notes = face_crops(images(4), [0.0, 1.0, 1.5, 4.0], detector)
    assert [int(crop[5, 0, 0]) for crop in crops] == [0, 0, 0, 47]
    assert notes == ["no face found in 2 of 4 frames: the nearest frame's place was used"]


def test_without_any_face_there_is_no_crop() -> None:
    assert face_crops(images(2), [0.0, 1.0], Scripted({})) == ([], 0, [])


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.tuples(st.integers(-20, 80), st.integers(-20, 80), st.integers(1, 90), st.integers(1, 90)),
)
def test_a_crop_is_a_square_inside_the_image(height: int, width: int, box: Box) -> None:
    crop = square_crop(np.zeros((height, width, 3), np.uint8), box)
    assert crop.shape[0] == crop.shape[1] == min(round(max(box[2:]) * 1.3), height, width)


def test_the_detector_can_be_sent_to_a_worker() -> None:
    detector = HaarFaceDetector()
    assert detector.detect(np.zeros((100, 100, 3), np.uint8)) == []
    copy = pickle.loads(pickle.dumps(detector))
    assert copy.detect(np.zeros((100, 100, 3), np.uint8)) == []


def test_a_clip_takes_any_detector(talking: Path) -> None:
    class Middle:
        def detect(self, image: np.ndarray) -> list[Box]:
            return [(40, 20, 10, 10)]

    clip = Clip.open(talking, detector=Middle())
    faces, frames = clip.faces(3), clip.frames(3)
    assert faces is not None and frames is not None
    assert [image.shape for image in faces.images] == [(13, 13, 3)] * 3
    assert np.array_equal(faces.times, frames.times) and clip.notes == []


@pytest.mark.parametrize(("name", "side"), [("astronaut_voice", 103), ("astronaut_silent", 50)])
def test_a_real_face_is_found_in_all_frames(clips: Path, name: str, side: int) -> None:
    clip = Clip.open(clips / f"{name}.mp4")
    frames, faces = clip.frames(8), clip.faces(8)
    assert frames is not None and faces is not None and not any("face" in note for note in clip.notes)
    assert all(crop.shape[0] == crop.shape[1] and 1.1 * side < crop.shape[0] < 1.6 * side for crop in faces.images)
    for frame, crop in zip(frames.images, faces.images, strict=True):
        (box,) = HaarFaceDetector().detect(frame)
        assert np.array_equal(crop, square_crop(frame, box))


def test_large_frames_give_boxes_in_their_own_pixels(clips: Path) -> None:
    frames = Clip.open(clips / "astronaut_voice.mp4").frames(1)
    assert frames is not None
    (small,) = HaarFaceDetector().detect(frames.images[0])
    (large,) = HaarFaceDetector().detect(frames.images[0].repeat(3, axis=0).repeat(3, axis=1))
    np.testing.assert_allclose(large, np.array(small) * 3, atol=45)


def test_a_cat_has_no_human_face(clips: Path) -> None:
    clip = Clip.open(clips / "cat_no_face.mp4")
    faces = clip.faces(8)
    assert faces is not None and faces.images[0].shape == (300, 450, 3)
    assert clip.notes == ["no face found in 8 frames: the whole frame was used"]
