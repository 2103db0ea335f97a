"""What is absent is absent for every encoder, whoever wrote it; the streams `frame` and `sound` are whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from affectgpt.core.assembly import assemble, build_encoders
from affectgpt.core.config import PresenceConfig
from affectgpt.core.contracts import EncoderConfig
from affectgpt.core.kinds import encoder
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.streams import prepare_present
from affectgpt.core.token_spec import TokenSpec
from affectgpt.core.tokens import MediaBatch, Prepared, Tokens
from affectgpt.media.clip import SAMPLE_RATE, Clip
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, MediaError
from affectgpt.synthetic.clip import write_clip
from affectgpt.synthetic.difficulty import Difficulty

Edited = Callable[..., Path]
TONE = (0.3 * np.sin(np.arange(32000) * 0.1)).astype(np.float32)
GREY = np.full((4, 40, 40, 3), 128, np.uint8)
ON = ("presence: off", "presence: {face: found, voice: cues}")


class LengthConfig(EncoderConfig):
    """An encoder of somebody else, who knows nothing of presence."""

    def infer(self) -> TokenSpec:
        return TokenSpec(modality=self.input, dim=1, tokens=1)


@encoder("length", config=LengthConfig)
class Length(torch.nn.Module):
    pretrained = False

    def __init__(self, config: LengthConfig, output: TokenSpec) -> None:
        super().__init__()
        self.config = config

    def prepare(self, clip: Clip) -> Prepared | None:
        waveform = clip.waveform()
        return None if waveform is None else Prepared(torch.tensor([[float(len(waveform))]]), torch.zeros(1))

    def forward(self, batch: MediaBatch) -> Tokens:
        return Tokens(batch.values, batch.mask, batch.times)


def built(path: Path, catalog: Catalog, *changes: str) -> Pipeline:
    return assemble(make_plan(read_config(path, catalog, changes)))


def present(pipeline: Pipeline, clip: Clip) -> dict[str, bool]:
    return {name: prepared is not None for name, prepared in pipeline.prepare(clip).items()}


def test_a_face_and_a_voice_that_are_not_there_are_absent(edited: Edited, catalog: Catalog) -> None:
    pipeline = built(edited(ON), catalog)
    clip = Clip.from_arrays(frames=GREY, waveform=TONE, subtitle="words")
    assert present(pipeline, clip) == {"audio": False, "face": False}
    assert clip.notes == ["no speech: the voice is absent", "no face was found in 3 frames: the face is absent"]
    pipeline.prepare_or_raise(clip)
    with pytest.raises(MediaError, match="no speech: the voice is absent") as caught:
        pipeline.prepare_or_raise(Clip.from_arrays(frames=GREY, waveform=TONE))
    hint = caught.value.problems[0].hint
    assert "presence: {face: always, voice: always}" in hint and "input: sound" in hint


def test_presence_off_is_as_before(small: Path, catalog: Catalog) -> None:
    clip = Clip.from_arrays(frames=GREY, waveform=TONE)
    pipeline = built(small, catalog)
    assert present(pipeline, clip) == {"audio": True, "face": True}
    media = pipeline.prepare(clip)
    for name, module in pipeline.encoders.items():
        expected = module.prepare(Clip.from_arrays(frames=GREY, waveform=TONE))  # type: ignore[operator]
        assert torch.equal(media[name].values, expected.values)  # type: ignore[union-attr]


def test_frame_and_sound_are_read_whole(edited: Edited, catalog: Catalog) -> None:
    changes = ("encoders.audio.input=sound", "encoders.face.input=frame")
    pipeline = built(edited(ON), catalog, *changes)
    clip = Clip.from_arrays(frames=GREY, waveform=TONE)
    assert present(pipeline, clip) == {"audio": True, "face": True} and not clip.notes
    assert pipeline.plan.encoders["audio"].output.modality == "sound"


def test_an_encoder_that_knows_nothing_of_presence_gets_no_voice(edited: Edited, catalog: Catalog) -> None:
    catalog.add(Length)
    pipeline = built(edited(ON), catalog, "encoders.audio={plugin: length}")
    assert present(pipeline, Clip.from_arrays(frames=GREY, waveform=TONE)) == {"audio": False, "face": False}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A voice of 2 s."""
    path = tmp_path_factory.mktemp("voice") / "clip.mp4"
    write_clip(path, 41, "test", 0, Difficulty(seconds=(2.0, 2.5)))
    waveform = Clip.open(path).waveform()
    assert waveform is not None
    return waveform


@pytest.mark.parametrize("seed", range(6))
def test_what_is_present_does_not_depend_on_the_other_encoders(
    seed: int, edited: Edited, catalog: Catalog, spoken: np.ndarray
) -> None:
    # Encoders that read the first second, all of it and other samples; the voice is anywhere, or nowhere.
    changes = (
        "encoders.audio={plugin: mel, n_mels: 8, stack: 10, max_seconds: 1}",
        "encoders.all={plugin: mel, input: audio, n_mels: 8, stack: 10, max_seconds: 60}",
        "encoders.windows={plugin: timm-mel, input: audio, model: resnet10t, init: random, windows: 2}",
        "fusers.more={plugin: mean, inputs: [all]}",
        "fusers.most={plugin: mean, inputs: [windows]}",
        "prompt.order=[multi, audio_tokens, more, most]",
    )
    plan = make_plan(read_config(edited(ON), catalog, changes))
    encoders = dict(build_encoders(plan).items())
    rng = np.random.default_rng(seed)
    sound = 0.3 * np.sin(np.arange(rng.integers(4, 30) * SAMPLE_RATE) * 0.1)
    if seed:
        start = rng.integers(0, len(sound) - len(spoken))
        sound[start : start + len(spoken)] = spoken
    sound = sound.astype(np.float32)
    presence, configs = plan.config.presence, {name: node.config for name, node in plan.encoders.items()}
    together = prepare_present(presence, configs, encoders, Clip.from_arrays(waveform=sound))
    names = {name for name, prepared in together.items() if prepared is not None}
    assert names in ({"audio", "all", "windows"}, set())
    for name, module in encoders.items():
        alone = prepare_present(presence, {name: configs[name]}, {name: module}, Clip.from_arrays(waveform=sound))
        assert (alone[name] is None) == (together[name] is None)


@pytest.mark.parametrize("value", ["off", "'off'", "{face: always, voice: always}", "no"])
def test_off_is_one_word(edited: Edited, catalog: Catalog, value: str) -> None:
    config = read_config(edited(("presence: off", f"presence: {value}")), catalog)
    assert config.presence.off and config.model_dump(mode="json")["presence"] == "off"


def test_without_the_section_a_face_and_a_voice_are_looked_for(edited: Edited, catalog: Catalog) -> None:
    config = read_config(edited(("presence: off\n", "")), catalog)
    assert config.presence == PresenceConfig(face="found", voice="cues")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("on", "a mapping such as"),
        ("{voice: loud}", "'cues', 'net' or 'always'"),
        ("{faces: found}", "did you mean 'face'"),
        ("{threshold: 0.4}", "no effect without"),
        ("{voice: net, threshold: 1.5}", "less than 1"),
    ],
)
def test_a_wrong_section_is_refused_with_its_line(edited: Edited, catalog: Catalog, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(edited(("presence: off", f"presence: {value}")), catalog)
    assert words in str(error.value) and "small.yaml:16" in str(error.value)
