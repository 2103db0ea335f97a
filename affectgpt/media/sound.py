"""The sound of a clip as one 16 kHz waveform."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler

from affectgpt.media.container import Header, check_seconds, open_container, pluralize
from affectgpt.media.downmix import Downmix
from affectgpt.media.edit_list import in_pause
from affectgpt.media.limits import Limits
from affectgpt.media.packets import demuxed, frames
from affectgpt.media.sampling import Resampling
from affectgpt.registry.errors import MediaError

RATES = (100, 768_000)
"""Sample rates in Hz that are read. A resampling filter grows with the rate: a header that states 2 GHz would have
it fill the memory."""

GAP = 0.05
"""Seconds by which a stamp may differ from the end of the sound before it without meaning anything: containers round
their stamps, and encoders delay the sound."""

RESTART = 1.0
"""Seconds that a stamp goes back from which on it is a new clock (joined files), not sound that is there twice."""


def read_waveform(
    path: Path, header: Header, limits: Limits, rate: int, resampling: Resampling = "libav"
) -> tuple[np.ndarray | None, list[str]]:
    """The sound as float32 `[S]` at `rate` Hz, and notes: see `Clip.waveform`. None when nothing was decoded."""
    damaged: set[tuple[int, int]] = set()
    downmix = Downmix(rate)
    timeline = _Timeline(path, header.duration, limits, rate)
    with open_container(path, limits) as container:
        stream = container.streams[header.audio]
        stream.codec_context.thread_count = 1
        tick, start = float(stream.time_base), float(header.start)
        resampler = (_Resampler if resampling == "libav" else _SincResampler)(path, rate, downmix)
        pauses = header.pauses.get(stream.index, ())
        sounding = (
            frame
            for frame, _ in frames(demuxed(container, stream), damaged)
            if frame.samples and not (frame.pts is not None and in_pause(pauses, frame.pts * tick))
        )
        for frame, successor in pairwise(chain(sounding, [None])):
            _check_rate(path, frame.sample_rate)
            length = frame.samples / frame.sample_rate
            # A sound without stamps still begins where its stream does.
            pts = stream.start_time if frame.pts is None and timeline.clock is None else frame.pts
            stamp = None if pts is None else pts * tick - start
            after = None if successor is None or successor.pts is None else successor.pts * tick - start
            step = timeline.step(stamp, length, after)
            if step:
                timeline.add(resampler.finish())
                timeline.move(step)
            timeline.add(resampler.feed(frame))
            timeline.advance(length)
        timeline.add(resampler.finish())
    notes = [f"the sound is damaged: {pluralize(len(damaged), 'packet')} could not be read"] if damaged else []
    if timeline.clock is None:
        return None, [*notes, "no sound could be decoded"]
    waveform = np.concatenate(timeline.parts)
    notes += timeline.notes() + downmix.notes() + _clean_samples(waveform, downmix.loudest())
    end = len(waveform) / rate
    if header.duration - end > 0.5:
        notes.append(f"the sound ends at {end:.1f} s of {header.duration:.1f} s")
    return waveform, notes


@dataclass
class _Timeline:
    # The waveform as it grows. `clock`: seconds from the clip's start at which the sound that was added ends, None
    # before the first; it follows the samples, and the stamps only where these tell of a gap or an overlap.
    path: Path
    duration: float
    limits: Limits
    rate: int
    parts: list[np.ndarray] = field(default_factory=list)
    clock: float | None = None
    count: int = 0
    surplus: int = 0
    shift: float = 0.0
    overlap: float = 0.0
    begin: float = 0.0
    silence: float = 0.0
    restarts: int = 0
    doubtful: int = 0

    def step(self, stamp: float | None, length: float, after: float | None) -> float:
        """Seconds of silence (of overlap: below 0) before a frame of `length` whose successor is stamped `after`."""
        if stamp is None:
            return 0.0
        begins = self.clock is None
        clock = 0.0 if self.clock is None else self.clock
        step = stamp + self.shift - clock
        if abs(step) <= GAP:
            return max(0.0, step) if begins else 0.0
        # A single stamp that its successor does not go on from is damaged, and so is one behind the clip's end.
        lonely = after is not None and abs(after + self.shift - clock - length) < abs(after - stamp - length)
        if lonely or (self.duration > 0 and clock + step > self.duration + RESTART):
            self.doubtful += 1
            return 0.0
        if step < -RESTART:
            self.restarts += 1
            self.shift -= step
            return 0.0
        return step

    def move(self, step: float) -> None:
        """Place what follows `step` seconds later, or earlier: what was heard already is then left out."""
        if self.clock is None:
            self.begin = step
        else:
            self.silence += max(0.0, step)
        self.advance(step)
        self.overlap += max(0.0, -step)
        missing = round((self.clock or 0.0) * self.rate) - self.count
        self.surplus = max(0, -missing)
        if missing > 0:
            self.parts.append(np.zeros(missing, np.float32))
            self.count += missing

    def add(self, parts: Iterable[np.ndarray]) -> None:
        """Append resampled sound."""
        for part in parts:
            audible = part[self.surplus :]
            self.surplus -= len(part) - len(audible)
            self.parts.append(audible)
            self.count += len(audible)

    def advance(self, seconds: float) -> None:
        """Move the clock. Raises MediaError when it stands behind what `limits` allow."""
        self.clock = (self.clock or 0.0) + seconds
        check_seconds(self.path, self.clock, self.limits)

    def notes(self) -> list[str]:
        """What a reader should know."""
        notes = []
        if self.begin > 0.5:
            notes.append(f"the sound begins at {self.begin:.1f} s of {self.duration:.1f} s")
        if self.silence:
            notes.append(f"the sound has gaps: {self.silence:.2f} s are silent")
        if self.overlap:
            notes.append(f"the stamps of the sound overlap: {self.overlap:.2f} s were left out")
        if self.restarts:
            notes.append(
                f"the clock of the sound goes back {pluralize(self.restarts, 'time')}: the sound goes on there"
            )
        if self.doubtful:
            notes.append(f"{pluralize(self.doubtful, 'stamp')} of the sound cannot be right and did not count")
        return notes


def resample(waveform: np.ndarray, source_rate: int, rate: int, resampling: Resampling = "libav") -> np.ndarray:
    """A mono waveform float32 `[S]` of `source_rate` Hz at `rate` Hz, within [-1, 1]; see `Clip.waveform`."""
    if source_rate == rate:
        return waveform
    path = Path("<arrays>")
    _check_rate(path, source_rate)
    resampler = (_Resampler if resampling == "libav" else _SincResampler)(path, rate, Downmix(rate))
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None]), format="flt", layout="mono")
    frame.sample_rate = source_rate
    converted: np.ndarray = np.concatenate([*resampler.feed(frame), *resampler.finish()])
    _clean_samples(converted)
    return converted


class _Resampler:
    # Resamples, then mixes the channels. libav's own way to mono weights two of them and, in float, exceeds full scale.
    whole_runs = False

    def __init__(self, path: Path, rate: int, downmix: Downmix) -> None:
        self.path = path
        self.rate = rate
        self.downmix = downmix
        self.source: tuple[str, Any, int] | None = None
        self.inner: AudioResampler | None = None
        self.parts: list[np.ndarray] = []

    def feed(self, frame: Any) -> Iterator[np.ndarray]:
        source = (frame.format.name, frame.layout, frame.sample_rate)
        if source != self.source:
            # A stream may change its layout on the way (joined files, HE-AAC): what is buffered comes out first.
            yield from self.finish()
            self.source = source
        if self.inner is None:
            self.inner = AudioResampler(format="flt", rate=frame.sample_rate if self.whole_runs else self.rate)
        frame.pts = None
        self._decode(frame)
        if not self.whole_runs and sum(map(len, self.parts)) >= self.rate:
            yield from self._mono()

    def finish(self) -> Iterator[np.ndarray]:
        if self.inner is not None:
            self._decode(None)
            self.inner = None
            yield from self._mono()

    def _decode(self, frame: Any) -> None:
        assert self.inner is not None
        for part in self.inner.resample(frame):
            # Interleaved on purpose: PyAV reads past the end of the plane table of planar sound with over 8 channels,
            # which a damaged packet may claim to have.
            self.parts.append(part.to_ndarray().reshape(-1, part.layout.nb_channels))

    def _mono(self) -> Iterator[np.ndarray]:
        if self.parts:
            assert self.source is not None
            channels, self.parts = np.concatenate(self.parts), []
            yield self.downmix.mix(self._at_rate(channels, self.source[2]), self.source[1])

    def _at_rate(self, channels: np.ndarray, rate: int) -> np.ndarray:
        return channels


class _SincResampler(_Resampler):
    # libav decodes only; a run of sound of one layout is resampled as a whole, as the filter's ends ask for.
    whole_runs = True

    def _at_rate(self, channels: np.ndarray, rate: int) -> np.ndarray:
        import torch
        from torchaudio.functional import resample

        converted: np.ndarray = resample(torch.from_numpy(channels.T.copy()), rate, self.rate).numpy().T
        return converted


def _check_rate(path: Path, rate: int) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise MediaError(
            "the sample rate of the sound is out of range",
            where=str(path),
            found=f"{rate:,} Hz",
            expected=f"{RATES[0]} to {RATES[1]:,} Hz",
            hint="the header is damaged, or the file is no sound recording; convert it again",
        )


def _clean_samples(waveform: np.ndarray, loudest: float = math.inf) -> list[str]:
    # In place: a float file may hold anything. What lies outside full scale is cut; only a sum of channels that is
    # louder than the `loudest` of them is made quieter as a whole.
    notes = []
    bad = ~np.isfinite(waveform)
    if bad.any():
        waveform[bad] = 0
        notes.append(f"{pluralize(int(bad.sum()), 'sample')} of the sound were not numbers: silence took their place")
    peak = float(np.abs(waveform).max())
    if peak > loudest:
        waveform *= loudest / peak
        peak = loudest
    np.clip(waveform, -1, 1, out=waveform)
    if peak > 2:
        notes.append(f"the sound reaches {peak:.3g} times full scale: it was cut at full scale")
    return notes
