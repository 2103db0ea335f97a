"""Writes frames and a waveform as a media file."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from affectgpt.synthetic.brush import Image


@dataclass(frozen=True)
class _Format:
    video: str
    video_options: dict[str, str]
    audio: str
    audio_options: dict[str, str]
    samples: str


_FORMATS = {
    ".mp4": _Format("libx264", {"preset": "ultrafast", "crf": "27"}, "aac", {"b": "64000"}, "fltp"),
    ".avi": _Format("mpeg4", {"b": "800000"}, "pcm_s16le", {}, "s16"),
}


def write_media(
    path: Path, frames: Iterable[Image], *, frame_rate: float, waveform: NDArray[np.float32] | None, sample_rate: int
) -> None:
    """Encode RGB `frames` (`[H, W, 3]` uint8, even sides) and mono `waveform [N]`: H.264 and AAC into an .mp4 file,
    MPEG-4 and uncompressed sound into an .avi file. Without a waveform there is no sound track.

    One encoder thread: at this size more threads cost more than they gain, and the bytes do not depend on them.
    """
    rate = Fraction(frame_rate).limit_denominator(1000)
    form = _FORMATS[path.suffix]
    with av.open(str(path), "w", format=path.suffix[1:]) as container:
        video = container.add_stream(form.video, rate=rate, options=form.video_options)
        video.pix_fmt, video.thread_count = "yuv420p", 1
        if waveform is not None:
            audio = container.add_stream(form.audio, rate=sample_rate, layout="mono", options=form.audio_options)
            audio.thread_count = 1
            samples = waveform if form.samples == "fltp" else pcm16(waveform)
            sound = av.AudioFrame.from_ndarray(samples[None], format=form.samples, layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = sample_rate, 0, Fraction(1, sample_rate)
        for index, image in enumerate(frames):
            if index == 0:
                video.height, video.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if waveform is not None:
            container.mux(audio.encode(sound))
            container.mux(audio.encode())


def write_wav(path: Path, waveform: NDArray[np.float32], sample_rate: int) -> None:
    """Write mono `waveform [N]` in [-1, 1] as 16-bit samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm16(waveform).astype("<i2").tobytes())


def pcm16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples in [-1, 1] as whole numbers of 16 bits."""
    return np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
