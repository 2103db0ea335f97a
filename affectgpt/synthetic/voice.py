"""A synthesised voice: glottal pulses through formant resonators, syllable by syllable.

The source-filter model is Fant's (Acoustic Theory of Speech Production, 1960), the pulse shape Rosenberg's
(J. Acoust. Soc. Am. 49, 1971); a resonator is a two-pole filter at a formant's frequency and bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from affectgpt.synthetic.identity import Identity
from affectgpt.synthetic.motion import Course
from affectgpt.synthetic.room import room_noise
from affectgpt.synthetic.script import Voice

SAMPLE_RATE = 16_000
LOUDNESS_RATE = 100
_LEVEL = 0.06

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VoiceStyle:
    """How a voice speaks. `pitch`, `energy`, `formants` multiply; `rate` is syllables a second.

    `range` is the spread of the melody, `jitter` the pulse-to-pulse deviation of the period, `breath` the share of
    noise, `press` how short the glottis is open (0 to 1), `rough` how much every second pulse is stronger,
    `tremor_pitch` and `tremor_level` the depth of a tremor of about 7 Hz, `dull` how fast high frequencies fall off.
    """

    pitch: float = 1.08
    range: float = 0.09
    jitter: float = 0.010
    breath: float = 0.07
    energy: float = 0.85
    rate: float = 3.4
    formants: float = 1.0
    press: float = 0.2
    rough: float = 0.0
    tremor_pitch: float = 0.0
    tremor_level: float = 0.0
    dull: float = 0.3

    def towards(self, target: VoiceStyle, amount: float | Array) -> dict[str, Array]:
        """Every parameter moved by `amount` (0 = self, 1 = `other`; a number or one per sample)."""
        names = [field.name for field in fields(self)]
        weight = np.asarray(amount, dtype=np.float64)
        return {n: getattr(self, n) + weight * (getattr(target, n) - getattr(self, n)) for n in names}


MANNERS: dict[Voice, VoiceStyle] = {
    "bright": VoiceStyle(1.42, 0.25, 0.010, 0.03, 1.00, 4.2, formants=1.08, press=0.25, dull=0.1),
    "harsh": VoiceStyle(0.96, 0.14, 0.055, 0.22, 1.35, 3.7, press=0.9, rough=0.45, dull=0.0),
    "trembling": VoiceStyle(
        1.24, 0.11, 0.014, 0.22, 0.60, 3.1, press=0.1, tremor_pitch=0.08, tremor_level=0.6, dull=0.35
    ),
    "flat": VoiceStyle(0.80, 0.030, 0.006, 0.01, 0.75, 2.8, press=0.1, dull=0.6),
}

_VOWELS = np.array(
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410), (490, 1350, 1690)]
)
"""First three formants in Hz of six vowels (Peterson and Barney, J. Acoust. Soc. Am. 24, 1952, adult men)."""
_LOCI = (720.0, 1800.0)
"""Where the second formant comes from after a labial and an alveolar consonant, in Hz (Delattre, Liberman and Cooper,
J. Acoust. Soc. Am. 27, 1955)."""
_RINGING = 800


@dataclass(frozen=True)
class Speech:
    """`waveform [N]` float32 at 16 kHz within [-1, 1]; `loudness` at 100 values a second, noise not counted."""

    waveform: NDArray[np.float32]
    loudness: Array


def synthesize(
    rng: np.random.Generator, identity: Identity, voice: Voice, *, seconds: float, cue: Course, snr_db: float
) -> Speech:
    """Say nothing in particular in `identity`'s voice for `seconds`.

    `cue` is how far the manner is from neutral to `voice` at each moment (0 to 1); `snr_db` is the level of the
    speech over the background noise, both averaged over the moments of speech.
    """
    count = round(seconds * SAMPLE_RATE)
    times = np.arange(count) / SAMPLE_RATE
    amount = cue(times)
    manner = VoiceStyle().towards(MANNERS[voice], amount)
    syllables = _syllables(rng, seconds, manner["rate"])
    voiced, airy = _source(rng, identity, times, manner, syllables)
    spoken = _articulate(rng, identity, voiced, airy, manner, syllables)
    tremor = np.sin(2 * np.pi * rng.uniform(6.5, 8.0) * times + rng.uniform(0, 2 * np.pi))
    active = np.abs(spoken) > 0
    spoken *= _LEVEL / _rms(spoken[active])
    spoken *= manner["energy"] * (1 - manner["tremor_level"] * (0.5 + 0.5 * tremor))
    spoken *= float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    frames = len(spoken) // (SAMPLE_RATE // LOUDNESS_RATE)
    loudness = np.sqrt(np.mean(np.square(spoken[: frames * 160].reshape(frames, 160)), axis=1))
    noise = room_noise(rng, count) * _rms(spoken[active]) * 10 ** (-snr_db / 20)
    return Speech(np.tanh(spoken + noise).astype(np.float32), loudness)


@dataclass(frozen=True)
class _Syllable:
    start: int
    length: int
    accent: float
    level: float


def _rms(signal: Array) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) if len(signal) else 1.0


def _syllables(rng: np.random.Generator, seconds: float, rate: Array) -> list[_Syllable]:
    syllables = []
    pace = rng.uniform(0.85, 1.18)
    moment = float(rng.uniform(0.05, 0.35))
    while moment < seconds - 0.3:
        phrase_start, phrase_end = moment, min(moment + float(rng.uniform(0.9, 2.2)), seconds - 0.05)
        while moment < phrase_end - 0.12:
            local_rate = pace * rate[min(int(moment * SAMPLE_RATE), len(rate) - 1)]
            length = min(float(rng.uniform(0.75, 1.25)) / local_rate, phrase_end - moment)
            fall = 0.6 - 1.2 * (moment - phrase_start) / (phrase_end - phrase_start)
            accent = 0.6 * fall + float(rng.normal(0, 0.8))
            samples = int(length * SAMPLE_RATE)
            syllables.append(_Syllable(int(moment * SAMPLE_RATE), samples, accent, float(rng.uniform(0.75, 1.1))))
            moment += length
        moment = phrase_end + float(rng.uniform(0.15, 0.45))
    return syllables


def _source(
    rng: np.random.Generator, identity: Identity, times: Array, manner: dict[str, Array], syllables: list[_Syllable]
) -> tuple[Array, Array]:
    """The glottal flow's derivative and the breath noise, both `[N]`, before the vocal tract."""
    centers = [(s.start + s.length / 2) / SAMPLE_RATE for s in syllables]
    melody = np.interp(times, centers, [s.accent for s in syllables])
    tremor = np.sin(2 * np.pi * rng.uniform(6.5, 8.0) * times + rng.uniform(0, 2 * np.pi))
    pitch = identity.f0 * manner["pitch"] * np.exp(manner["range"] * melody) * (1 + manner["tremor_pitch"] * tremor)
    cycle = np.cumsum(pitch / SAMPLE_RATE).astype(int)
    deviation = rng.standard_normal(cycle[-1] + 2)
    phase = np.cumsum(pitch * (1 + manner["jitter"] * deviation[cycle]) / SAMPLE_RATE)
    cycle, phase = phase.astype(int), phase % 1
    rising, falling = 0.44 * (1 - 0.45 * manner["press"]), 0.18 * (1 - 0.6 * manner["press"])
    after = np.clip((phase - rising) / falling, 0, 1)
    flow = np.where(phase < rising, 0.5 - 0.5 * np.cos(np.pi * phase / rising), np.cos(0.5 * np.pi * after))
    flow = flow * (1 + manner["rough"] * np.where(cycle % 2, 1.0, -0.5))
    voiced = np.diff(flow, prepend=0.0) * SAMPLE_RATE / pitch
    airy = rng.standard_normal(len(times)) * (0.35 + flow) * manner["breath"] * 4
    return voiced, airy


def _articulate(
    rng: np.random.Generator,
    identity: Identity,
    voiced: Array,
    airy: Array,
    manner: dict[str, Array],
    syllables: list[_Syllable],
) -> Array:
    """The source through moving formants: a syllable is a hiss, a glide into a vowel, half a glide out of it."""
    spoken = np.zeros(len(voiced))
    overlap = int(0.03 * SAMPLE_RATE)
    for syllable in syllables:
        start, stop = max(0, syllable.start - overlap), min(len(voiced), syllable.start + syllable.length)
        length = stop - start
        middle = (start + stop) // 2
        scale, dull = identity.tract * float(manner["formants"][middle]), float(manner["dull"][middle])
        vowel, following = _VOWELS[rng.integers(len(_VOWELS), size=2)] * scale
        consonant = np.array([rng.uniform(250, 400), rng.choice(_LOCI), rng.uniform(2200, 2700)]) * scale
        source = (voiced[start:stop] + airy[start:stop]) * _envelope(length) * syllable.level
        shapes = ((consonant + vowel) / 2, vowel, (vowel + following) / 2)
        tail = min(length + _RINGING, len(voiced) - start)
        for share, formants in zip(_glide(length), shapes, strict=True):
            spoken[start : start + tail] += _resound(source * share, formants, dull)[:tail]
        hiss = min(int(rng.uniform(0.04, 0.09) * SAMPLE_RATE), length)
        burst = np.diff(rng.standard_normal(hiss + 2), 2) * np.hanning(hiss)
        begin = max(0, start - hiss // 2)
        spoken[begin : begin + hiss] += float(rng.uniform(0.1, 0.5)) * burst
    return spoken


def _envelope(length: int) -> Array:
    attack, release = min(length // 3, 640), min(length // 2, 1280)
    envelope = np.ones(length)
    envelope[:attack] = 0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / attack)
    envelope[length - release :] = 0.5 + 0.5 * np.cos(np.pi * np.arange(release) / release)
    return envelope


def _glide(length: int) -> tuple[Array, Array, Array]:
    """The shares of consonant, vowel and following vowel at each sample of a syllable; they sum to 1."""
    moments = np.arange(length)
    consonant = np.clip(1 - moments / min(int(0.07 * SAMPLE_RATE), max(length // 3, 1)), 0, 1)
    following = np.clip((moments / max(length, 1) - 0.45) / 0.45, 0, 1) * (1 - consonant)
    return consonant, 1 - consonant - following, following


def _resound(source: Array, formants: Array, dull: float) -> Array:
    size = 1 << (len(source) + 1200).bit_length()
    return np.fft.irfft(np.fft.rfft(source, size) * _tract(formants, dull, size), size)


def _tract(formants: Array, dull: float, size: int) -> NDArray[np.complex128]:
    """Frequency response `[size // 2 + 1]` of the resonators in a row, times a one-pole low-pass."""
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response: NDArray[np.complex128] = (1 - dull) / (1 - dull * turn)
    for frequency, bandwidth in zip((*formants, 3500.0), (80.0, 100.0, 140.0, 200.0), strict=True):
        radius, angle = np.exp(-np.pi * bandwidth / SAMPLE_RATE), 2 * np.pi * frequency / SAMPLE_RATE
        poles = 1 - 2 * radius * np.cos(angle) * turn + radius**2 * turn**2
        response = response * (1 - 2 * radius * np.cos(angle) + radius**2) / poles
    return response
