"""One synthetic clip from its place in the random streams: (seed, split, index) decides everything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from affectgpt.synthetic.container import write_media
from affectgpt.synthetic.difficulty import Difficulty, Range
from affectgpt.synthetic.frames import FRAME_RATE, render_frames
from affectgpt.synthetic.identity import POOL_SIZE, SPLIT_CODE, Split, draw_identity
from affectgpt.synthetic.motion import cue_course, lip_opening
from affectgpt.synthetic.room import sound_of_a_room
from affectgpt.synthetic.script import (
    COMBINATIONS,
    PATTERNS,
    SUBTITLES,
    Combination,
    Part,
    describe_combination,
    labels_of,
)
from affectgpt.synthetic.voice import LOUDNESS_RATE, SAMPLE_RATE, synthesize

_STREAMS = {"order": 0, "script": 1, "levels": 2, "picture": 3, "sound": 4}
_BLOCK = len(COMBINATIONS)


@dataclass(frozen=True)
class ClipPlan:
    """What is decided about a clip before it is drawn."""

    name: str
    combination: Combination
    pattern: int
    subtitle: tuple[str, str]
    identity: int
    seconds: float
    face_strength: float
    voice_strength: float
    face_share: float
    voice_share: float
    camera_noise: float
    voice_snr: float
    without: frozenset[Part] = frozenset()

    @property
    def has_face(self) -> bool:
        """True unless the clip lacks its face."""
        return "face" not in self.without

    @property
    def has_voice(self) -> bool:
        """True unless the clip lacks its speech, or all of its sound."""
        return not self.without & {"speech", "sound"}

    @property
    def description(self) -> str:
        """What is to be said of the clip, as [describe_combination][] says it."""
        return describe_combination(self.combination, self.pattern, face=self.has_face, voice=self.has_voice)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotion's labels; `unclear` where the clip lacks what would tell it."""
        return labels_of(self.combination, face=self.has_face, voice=self.has_voice)


def _stream(name: str, seed: int, split: Split, index: int) -> np.random.Generator:
    key = (SPLIT_CODE[split], index, _STREAMS[name])
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def plan_clip(seed: int, split: Split, index: int, difficulty: Difficulty, without: Collection[Part] = ()) -> ClipPlan:
    """The plan of clip `index`: each run of 16 clips holds each combination once, in an order of its own.

    What the clip is `without` changes nothing else of it.
    """
    order = _stream("order", seed, split, index // _BLOCK).permutation(_BLOCK)
    combination = COMBINATIONS[order[index % _BLOCK]]
    script, levels = _stream("script", seed, split, index), _stream("levels", seed, split, index)

    def draw(bounds: Range) -> float:
        return float(levels.uniform(*bounds))

    return ClipPlan(
        name=f"synth_{split}_{index:05d}",
        combination=combination,
        pattern=int(script.integers(PATTERNS)),
        subtitle=_subtitle(script, without),
        identity=int(script.integers(POOL_SIZE[split])),
        seconds=round(draw(difficulty.seconds) * FRAME_RATE) / FRAME_RATE,
        face_strength=draw(difficulty.face_strength),
        voice_strength=draw(difficulty.voice_strength),
        face_share=draw(difficulty.face_share),
        voice_share=draw(difficulty.voice_share),
        camera_noise=draw(difficulty.camera_noise),
        voice_snr=draw(difficulty.voice_snr),
        without=frozenset(without),
    )


def _subtitle(script: np.random.Generator, without: Collection[Part]) -> tuple[str, str]:
    words = SUBTITLES[script.integers(len(SUBTITLES))]
    return words if "subtitle" not in without else ("", "")


def write_clip(
    path: Path, seed: int, split: Split, index: int, difficulty: Difficulty, without: Collection[Part] = ()
) -> str:
    """Draw, speak and encode clip `index` into `path` (.mp4 or .avi); returns its name."""
    cv2.setNumThreads(1)
    plan = plan_clip(seed, split, index, difficulty, without)
    identity = draw_identity(split, plan.identity)
    picture, sound = _stream("picture", seed, split, index), _stream("sound", seed, split, index)
    seconds, combination = plan.seconds, plan.combination
    voice_cue = cue_course(sound, seconds=seconds, strength=plan.voice_strength, share=plan.voice_share)
    speech = synthesize(sound, identity, combination.voice, seconds=seconds, cue=voice_cue, snr_db=plan.voice_snr)
    waveform = speech.waveform if plan.has_voice else sound_of_a_room(sound, seconds=seconds, rate=SAMPLE_RATE)
    face_cue = cue_course(picture, seconds=seconds, strength=plan.face_strength, share=plan.face_share)
    times = np.arange(round(seconds * FRAME_RATE)) / FRAME_RATE
    # Without a sound track somebody may speak all the same.
    speaks = "speech" not in plan.without
    lips = lip_opening(picture, speech.loudness, LOUDNESS_RATE, times) if speaks else np.zeros(len(times))
    frames = render_frames(
        picture,
        identity if plan.has_face else None,
        combination.face,
        seconds=seconds,
        cue=face_cue,
        lips=lips,
        noise=plan.camera_noise,
    )
    write_media(
        path,
        frames,
        frame_rate=FRAME_RATE,
        waveform=None if "sound" in plan.without else waveform,
        sample_rate=SAMPLE_RATE,
    )
    return plan.name
