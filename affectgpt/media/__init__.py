"""Media files as the models need them: pictures evenly spaced over time, face crops, a 16 kHz waveform, a subtitle.

Importing this package loads neither PyAV nor OpenCV: both are loaded when a clip is opened or a face is looked for.
"""

from __future__ import annotations

from affectgpt.media.clip import SAMPLE_RATE, Clip, Pictures
from affectgpt.media.faces import FaceDetector, HaarFaceDetector
from affectgpt.media.limits import Limits

__all__ = ["SAMPLE_RATE", "Clip", "FaceDetector", "HaarFaceDetector", "Limits", "Pictures"]
