"""The model inside the package speaks of what a clip has, and of nothing that it lacks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

import affectgpt as ag
from affectgpt.synthetic.script import Part
from benchmarks.absent import OF_A_FACE, OF_A_VOICE, POSSIBLE, count_texts

CLIPS = int(os.environ.get("AFFECTGPT_TINY_CLIPS", "60"))
"""How many of each kind a slow test looks at; `benchmarks/absent.py` looks at 200 of each."""


@pytest.fixture(scope="module")
def model() -> ag.Pipeline:
    return ag.load("tiny")


QUICK: list[tuple[Part, ...]] = [("face",), ("speech",), ("sound", "subtitle"), ("face", "speech")]
CASES: list[tuple[Part, ...]] = [*QUICK, ("sound",), ("subtitle",), ("face", "subtitle"), ("speech", "subtitle")]


def check_texts(model: ag.Pipeline, folder: Path, clips: int, least: float, *without: Part) -> None:
    """At least the share `least` of the texts is right, and none speaks of what is not there."""
    count = count_texts(model, folder, clips, without, workers=2 if clips > 20 else 0)
    assert not count.texts_of_absent
    assert count.right + count.errors >= least * clips, count


@pytest.mark.parametrize("without", QUICK, ids="-".join)
def test_a_text_says_nothing_of_what_is_absent(model: ag.Pipeline, tmp_path: Path, without: tuple[Part, ...]) -> None:
    check_texts(model, tmp_path / "clips", 4, 0.75, *without)


@pytest.mark.slow
@pytest.mark.parametrize("without", CASES, ids="-".join)
def test_clips_that_lack_something(model: ag.Pipeline, tmp_path: Path, without: tuple[Part, ...]) -> None:
    check_texts(model, tmp_path / "clips", CLIPS, 0.95, *without)


@pytest.mark.slow
def test_held_out_clips_are_described_rightly(model: ag.Pipeline, tmp_path: Path) -> None:
    check_texts(model, tmp_path / "clips", 2 * CLIPS, 0.95)


def test_a_silent_person_has_no_voice(model: ag.Pipeline, shared: Path) -> None:
    row = ag.describe(model, shared / "clips" / "astronaut_silent.mp4")
    assert not row.error
    assert not OF_A_VOICE.search(row.text)
    assert OF_A_FACE.search(row.text)
    assert POSSIBLE.search(row.text)


def test_an_animal_has_no_face_even_while_somebody_speaks(model: ag.Pipeline, shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "cat_and_speech.mkv"
    _with_sound_of(shared / "clips" / "cat_no_face.mp4", shared / "clips" / "astronaut_voice.mp4", path)
    row = ag.describe(model, path)
    assert not row.error
    assert not OF_A_FACE.search(row.text)
    assert OF_A_VOICE.search(row.text)


def _with_sound_of(picture: Path, sound: Path, out: Path) -> None:
    with av.open(str(picture)) as one, av.open(str(sound)) as other, av.open(str(out), "w") as container:
        video = container.add_stream_from_template(one.streams.video[0])
        audio = container.add_stream_from_template(other.streams.audio[0])
        for source, stream, target in ((one, one.streams.video[0], video), (other, other.streams.audio[0], audio)):
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    container.mux(packet)


def test_of_a_black_picture_in_silence_nothing_is_said(model: ag.Pipeline) -> None:
    clip = ag.Clip.from_arrays(frames=np.zeros((8, 64, 64, 3), np.uint8), waveform=np.zeros(32000, np.float32))
    row = ag.describe(model, clip)
    assert "there is nothing in this clip that can be read" in row.error
    assert not row.text
    assert not row.counted
    assert ag.describe(model, clip, subtitle="We need milk.").text


def test_its_presence_is_decided_as_a_new_pipeline_s() -> None:
    stored = ag.plan("tiny").config.presence
    assert json.loads(stored.model_dump_json()) == {"face": "found", "voice": "cues", "threshold": 0.5}
