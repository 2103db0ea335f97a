"""Speech is told from sounds that are as loud and as periodic as a voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgpt.media.presence import Presence, is_spoken
from affectgpt.synthetic.clip import plan_clip
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.identity import draw_identity
from affectgpt.synthetic.motion import cue_course
from affectgpt.synthetic.room import sound_of_a_room
from affectgpt.synthetic.voice import synthesize

RATE = 16000
Array = NDArray[np.float64]
Sound = Callable[[np.random.Generator, float], Array]


def times(seconds: float) -> Array:
    return np.arange(int(seconds * RATE)) / RATE


def harmonics(rng: np.random.Generator, hertz: Array) -> Array:
    phase, tilt = 2 * np.pi * np.cumsum(hertz) / RATE, rng.uniform(0.5, 2)
    count = min(int(rng.integers(1, 14)), int(7800 / hertz.max()))
    return np.sum([np.sin((k + 1) * phase + rng.uniform(0, 6)) / (k + 1) ** tilt for k in range(max(1, count))], axis=0)


def steady(rng: np.random.Generator, seconds: float, low: float = 80, high: float = 440) -> Array:
    return np.full(int(seconds * RATE), rng.uniform(low, high))


def noise(slope: float) -> Sound:
    def make(rng: np.random.Generator, seconds: float) -> Array:
        spectrum = np.fft.rfft(rng.standard_normal(int(seconds * RATE)))
        bins = np.maximum(np.arange(len(spectrum)), seconds * 20)
        return np.fft.irfft(spectrum * bins ** (-slope / 2))

    return make


def vibrato(rng: np.random.Generator, seconds: float) -> Array:
    wave = np.sin(2 * np.pi * rng.uniform(2, 8) * times(seconds) + rng.uniform(0, 6))
    return harmonics(rng, steady(rng, seconds) * 2 ** (rng.uniform(0.2, 1) / 12 * wave))


def tremolo(rng: np.random.Generator, seconds: float) -> Array:
    level = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 9) * times(seconds) + rng.uniform(0, 6))
    return harmonics(rng, steady(rng, seconds)) * (1 - rng.uniform(0.3, 1) * level)


def chord(rng: np.random.Generator, seconds: float) -> Array:
    base = steady(rng, seconds, 80, 300)
    return np.sum([harmonics(rng, base * 2 ** (step / 12)) for step in (0, rng.choice([3, 4, 5]), 7)], axis=0)


def sawtooth(rng: np.random.Generator, seconds: float) -> Array:
    return 2 * ((rng.uniform(50, 600) * times(seconds)) % 1) - 1


def hum(rng: np.random.Generator, seconds: float) -> Array:
    mains = rng.choice([50.0, 60.0])
    return harmonics(rng, np.full(int(seconds * RATE), mains)) + 0.02 * rng.standard_normal(int(seconds * RATE))


def sweep(rng: np.random.Generator, seconds: float) -> Array:
    return harmonics(rng, steady(rng, seconds, 80, 300) * 2 ** (rng.uniform(-1.5, 1.5) * times(seconds) / seconds))


def melody(rng: np.random.Generator, seconds: float) -> Array:
    sound = np.zeros(int(seconds * RATE))
    scale, base, decay = rng.choice([0, 2, 4, 5, 7, 9, 11, 12], 8), rng.uniform(80, 330), rng.uniform(0.08, 0.8)
    moment = 0.0
    while moment < seconds - 0.01:
        start = int(moment * RATE)
        length = min(len(sound) - start, int(4 * decay * RATE))
        note = harmonics(rng, np.full(length, base * 2 ** (rng.choice(scale) / 12)))
        sound[start : start + length] += note * np.exp(-np.arange(length) / RATE / decay)
        moment += 1 / rng.uniform(1.5, 8)
    return sound


def drums(rng: np.random.Generator, seconds: float) -> Array:
    sound, step = np.zeros(int(seconds * RATE)), int(RATE / rng.uniform(2, 8))
    for number, start in enumerate(range(0, len(sound) - 800, step)):
        moment = times(min(0.3, (len(sound) - start) / RATE))
        kick = np.sin(2 * np.pi * (50 * moment + 8 * (1 - np.exp(-20 * moment)))) * np.exp(-12 * moment)
        hat = 0.4 * rng.standard_normal(len(moment)) * np.exp(-30 * moment)
        sound[start : start + len(moment)] += hat if number % 2 else kick
    return sound


def clicks(rng: np.random.Generator, seconds: float) -> Array:
    sound = np.zeros(int(seconds * RATE))
    sound[rng.integers(0, len(sound), int(10 * seconds) + 1)] = 0.8
    return sound


NOT_SPEECH: dict[str, Sound] = {
    "silence": lambda rng, seconds: np.zeros(int(seconds * RATE)),
    "white noise": noise(0),
    "pink noise": noise(1),
    "brown noise": noise(2),
    "tone": lambda rng, seconds: np.sin(2 * np.pi * rng.uniform(60, 2000) * times(seconds)),
    "steady harmonics": lambda rng, seconds: harmonics(rng, steady(rng, seconds)),
    "vibrato": vibrato,
    "tremolo": tremolo,
    "chord": chord,
    "sawtooth": sawtooth,
    "hum": hum,
    "sweep": sweep,
    "melody": melody,
    "melody and drums": lambda rng, seconds: melody(rng, seconds) + 2 * drums(rng, seconds),
    "drums": drums,
    "clicks": clicks,
    "room": lambda rng, seconds: sound_of_a_room(rng, seconds=seconds, rate=RATE).astype(np.float64),
}


def is_voice(sound: Array) -> bool:
    return is_spoken(sound.astype(np.float32), Presence(voice="cues"))


@pytest.mark.parametrize("kind", NOT_SPEECH)
def test_what_is_not_spoken_is_no_voice(kind: str) -> None:
    for seed, seconds in enumerate((0.5, 1.0, 2.0, 4.0, 8.0)):
        rng = np.random.default_rng([seed, sum(kind.encode())])
        sound = NOT_SPEECH[kind](rng, seconds)
        sound = sound / max(np.abs(sound).max(), 1e-9) * rng.uniform(0.05, 0.9)
        assert not is_voice(sound), (seed, seconds)


def synthetic_voice(seed: int, index: int) -> Array:
    plan = plan_clip(seed, "test", index, Difficulty())
    rng = np.random.default_rng([seed, index])
    cue = cue_course(rng, seconds=plan.seconds, strength=plan.voice_strength, share=plan.voice_share)
    identity, voice = draw_identity("test", plan.identity), plan.combination.voice
    speech = synthesize(rng, identity, voice, seconds=plan.seconds, cue=cue, snr_db=plan.voice_snr)
    return speech.waveform.astype(np.float64)


def test_synthetic_voices_are_voices_however_loud() -> None:
    voices = [synthetic_voice(77, index) for index in range(32)]
    assert sum(is_voice(voice) for voice in voices) >= 31
    assert sum(is_voice(0.1 * voice) for voice in voices[:8]) >= 7


@pytest.mark.parametrize("samples", [0, 1, 100, 639, 640, 3840])
def test_too_short_a_sound_is_no_voice(samples: int) -> None:
    assert not is_voice(np.random.default_rng(0).standard_normal(samples) * 0.1)
