"""Writes frames and a waveform as an H.264 and AAC file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from affectgpt.data.synthetic.brush import Image


def write_mp4(
    path: Path, frames: Iterable[Image], *, frame_rate: float, waveform: NDArray[np.float32], sample_rate: int
) -> None:
    """Encode RGB `frames` (`[H, W, 3]` uint8, even sides) and mono `waveform [N]` into `path`.

    One encoder thread: at this size more threads cost more than they gain, and the bytes do not depend on them.
    """
    rate = Fraction(frame_rate).limit_denominator(1000)
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "27"})
        video.pix_fmt, video.thread_count = "yuv420p", 1
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        audio.bit_rate, audio.thread_count = 64_000, 1
        sound = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = sample_rate, 0, Fraction(1, sample_rate)
        for index, image in enumerate(frames):
            if index == 0:
                video.height, video.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode())
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
