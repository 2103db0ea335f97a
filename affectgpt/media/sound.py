"""The sound of a clip as one 16 kHz waveform."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler

from affectgpt.media.container import Header, check_seconds, open_container, pluralize
from affectgpt.media.limits import Limits
from affectgpt.media.packets import demuxed, frames
from affectgpt.media.sampling import Resampling
from affectgpt.registry.errors import MediaError

RATES = (100, 768_000)
"""Sample rates in Hz that are read. A resampling filter grows with the rate: a header that states 2 GHz would have
it fill the memory."""


def read_waveform(
    path: Path, header: Header, limits: Limits, rate: int, resampling: Resampling = "libav"
) -> tuple[np.ndarray | None, list[str]]:
    """The sound as float32 `[S]` at `rate` Hz, and notes: see `Clip.waveform`. None when nothing was decoded."""
    damaged: set[tuple[int, int]] = set()
    parts: list[np.ndarray] = []
    samples = 0
    with open_container(path, limits) as container:
        stream = container.streams[header.audio]
        stream.codec_context.thread_count = 1
        first: Fraction | None = None
        resampler = _Resampler(path, rate) if resampling == "libav" else _SincResampler(path, rate)
        for frame, _ in frames(demuxed(container, stream), damaged):
            if not frame.samples:
                continue
            if first is None:
                stamp = frame.pts if frame.pts is not None else stream.start_time
                first = header.start if stamp is None else stamp * Fraction(frame.time_base or stream.time_base)
                lead = max(Fraction(0), (first - header.start) * rate)
                check_seconds(path, float(lead / rate), limits)
                if lead > 1:
                    parts.append(np.zeros(round(lead), np.float32))
            for part in resampler.feed(frame):
                parts.append(part)
                samples += len(part)
                check_seconds(path, samples / rate, limits)
        for part in resampler.finish():
            parts.append(part)
            samples += len(part)
    notes = [f"the sound is damaged: {pluralize(len(damaged), 'packet')} could not be read"] if damaged else []
    if not samples:
        return None, [*notes, "no sound could be decoded"]
    waveform = np.concatenate(parts)
    notes += _clean_samples(waveform)
    end = len(waveform) / rate
    if header.duration - end > 0.5:
        notes.append(f"the sound ends at {end:.1f} s of {header.duration:.1f} s")
    return waveform, notes


def resample(waveform: np.ndarray, source_rate: int, rate: int, resampling: Resampling = "libav") -> np.ndarray:
    """A mono waveform float32 `[S]` of `source_rate` Hz at `rate` Hz, within [-1, 1]; see `Clip.waveform`."""
    if source_rate == rate:
        return waveform
    path = Path("<arrays>")
    resampler = _Resampler(path, rate) if resampling == "libav" else _SincResampler(path, rate)
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None]), format="flt", layout="mono")
    frame.sample_rate = source_rate
    converted: np.ndarray = np.concatenate([*resampler.feed(frame), *resampler.finish()])
    _clean_samples(converted)
    return converted


class _Resampler:
    # Resamples, then averages the channels. libav's own way to mono weights them and, in float, exceeds full scale.
    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self.rate = rate
        self.layout: tuple[str, str, int] | None = None
        self.inner: AudioResampler | None = None

    def sample_count(self, rate: int) -> AudioResampler:
        """libav's own for sound of `rate`."""
        return AudioResampler(format="flt", rate=self.rate)

    def feed(self, frame: Any) -> Iterator[np.ndarray]:
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if layout != self.layout:
            # A stream may change its layout on the way (joined files, HE-AAC): what is buffered comes out first.
            yield from self.finish()
            _check_rate(self.path, frame.sample_rate)
            self.layout, self.inner = layout, self.sample_count(frame.sample_rate)
        frame.pts = None
        yield from self._mono(frame)

    def finish(self) -> Iterator[np.ndarray]:
        if self.inner is not None:
            yield from self._mono(None)
            self.inner = None

    def _mono(self, frame: Any) -> Iterator[np.ndarray]:
        for channels in self._channels(frame):
            # A float file may hold values whose sum is no float32: they become inf here and are mended at the end.
            with np.errstate(over="ignore", invalid="ignore"):
                yield channels.mean(axis=1, dtype=np.float32)

    def _channels(self, frame: Any) -> Iterator[np.ndarray]:
        assert self.inner is not None
        for part in self.inner.resample(frame):
            # Interleaved on purpose: PyAV reads past the end of the plane table of planar sound with over 8 channels,
            # which a damaged packet may claim to have.
            yield part.to_ndarray().reshape(-1, part.layout.nb_channels)


class _SincResampler(_Resampler):
    # libav decodes only; a run of sound of one layout is resampled as a whole, as the filter's ends ask for.
    parts: list[np.ndarray]

    def sample_count(self, rate: int) -> AudioResampler:
        self.parts, self.found = [], rate
        return AudioResampler(format="flt", rate=rate)

    def _mono(self, frame: Any) -> Iterator[np.ndarray]:
        self.parts += self._channels(frame)
        if frame is None and self.parts:
            import torch
            from torchaudio.functional import resample

            waveform = torch.from_numpy(np.concatenate(self.parts).T.copy())
            yield resample(waveform, self.found, self.rate).mean(dim=0).numpy()


def _check_rate(path: Path, rate: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise MediaError(
            "the sample rate of the sound is out of range",
            where=str(path),
            found=f"{rate:,} Hz",
            expected=f"{RATES[0]} to {RATES[1]:,} Hz",
            hint="the header is damaged, or the file is no sound recording; convert it again",
        )


def _clean_samples(waveform: np.ndarray) -> list[str]:
    # In place: a float file may hold anything. Nothing is scaled, only what lies outside full scale is cut.
    notes = []
    bad = ~np.isfinite(waveform)
    if bad.any():
        waveform[bad] = 0
        notes.append(f"{pluralize(int(bad.sum()), 'sample')} of the sound were not numbers: silence took their place")
    peak = float(np.abs(waveform).max())
    np.clip(waveform, -1, 1, out=waveform)
    if peak > 2:
        notes.append(f"the sound reaches {peak:.3g} times full scale: it was cut at full scale")
    return notes
