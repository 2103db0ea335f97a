"""Where the face is in a frame, and the square that is cut out around it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

MARGIN = 0.15
"""What is added on each side of a face's box, as a part of the box's longer side."""

_THREAD_LOCAL = threading.local()

Box = tuple[int, int, int, int]


class FaceDetector(Protocol):
    """Finds faces. Any object with this method can be given to `Clip.open`."""

    def detect(self, image: np.ndarray) -> list[Box]:
        """Boxes (x, y, width, height) in pixels, in any order, of the faces in a uint8 RGB image `[H, W, 3]`."""


class HaarFaceDetector:
    """OpenCV's frontal face cascade (Viola and Jones, 2001), on the grey image scaled down to 512 pixels.

    Faces smaller than 15 % of the image's shorter side are not looked for.
    """

    def detect(self, image: np.ndarray) -> list[Box]:
        """See [FaceDetector][]."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, 512 / max(height, width))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        least = max(1, round(0.15 * min(gray.shape)))
        boxes = _cascade().detectMultiScale(gray, scaleFactor=1.2, minNeighbors=3, minSize=(least, least))
        return [(round(x / scale), round(y / scale), round(w / scale), round(h / scale)) for x, y, w, h in boxes]


def _cascade() -> Any:
    """OpenCV's cascade, read at the first use in each thread: it cannot be used by two at once."""
    import cv2

    if not hasattr(_THREAD_LOCAL, "cascade"):
        folder = Path(cv2.__file__).parent / "data"
        _THREAD_LOCAL.cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
    return _THREAD_LOCAL.cascade


def face_crops(
    images: Sequence[np.ndarray], times: Sequence[float], detector: FaceDetector
) -> tuple[list[np.ndarray], int, list[str]]:
    """One square around the largest face of each image `[H, W, 3]`, how many images show one, and notes on the others.

    An image without a face gets the box of the image nearest in time that has one (the earlier of two equally near).
    There are no squares when no image has one.
    """
    boxes = [_largest(detector.detect(image)) for image in images]
    with_face = [i for i, box in enumerate(boxes) if box is not None]
    if not with_face:
        return [], 0, []
    notes = []
    if len(with_face) < len(images):
        missing = len(images) - len(with_face)
        notes.append(f"no face found in {missing} of {len(images)} frames: the nearest frame's place was used")
    crops = []
    for i, image in enumerate(images):
        nearest = min(with_face, key=lambda j: abs(times[j] - times[i]))
        box = boxes[nearest]
        assert box is not None
        crops.append(square_crop(image, box))
    return crops, len(with_face), notes


def square_crop(image: np.ndarray, box: Box) -> np.ndarray:
    """The square `[S, S, 3]` around `box` with a margin of 15 % on each side, moved or shrunk to lie in the image."""
    height, width = image.shape[:2]
    x, y, w, h = box
    side = max(1, min(round(max(w, h) * (1 + 2 * MARGIN)), height, width))
    x_start = min(max(round(x + w / 2 - side / 2), 0), width - side)
    y_start = min(max(round(y + h / 2 - side / 2), 0), height - side)
    return np.array(image[y_start : y_start + side, x_start : x_start + side])


def _largest(boxes: Sequence[Box]) -> Box | None:
    return max(boxes, key=lambda box: box[2] * box[3], default=None)
