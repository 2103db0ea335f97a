"""Media files as the models need them: pictures evenly spaced over time, face crops, a 16 kHz waveform, a subtitle.

Importing this package loads neither PyAV nor OpenCV: both are loaded when a clip is opened or a face is looked for.
"""

from __future__ import annotations

from affectgpt.media.clip import SAMPLE_RATE, Clip, Pictures
from affectgpt.media.faces import FaceDetector, HaarFaceDetector
from affectgpt.media.limits import Limits

MEDIA_VERSION = 2
"""Raised by hand whenever a file gives other pictures, faces, sound or another decision on what is present."""

READ_ANEW = {
    2: "a sound with gaps, more than two channels or times that do not begin at 0; pictures with pixels that are not "
    "square, edit lists, interlacing or HDR; several pictures or sounds in one file",
}
"""By version: which files have been read in another way since."""

__all__ = [
    "MEDIA_VERSION",
    "READ_ANEW",
    "SAMPLE_RATE",
    "Clip",
    "FaceDetector",
    "HaarFaceDetector",
    "Limits",
    "Pictures",
]
