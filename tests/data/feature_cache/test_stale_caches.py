"""A cache gives what an empty one gives, or refuses: whatever changes between two runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affectgpt import api
from affectgpt.core.assembly import build_encoders
from affectgpt.core.streams import prepare_streams
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.registry.errors import AffectGPTError, PluginError

PLUGIN = '''\
import torch
from pathlib import Path
from torch import nn

import {helper}
from affectgpt import EncoderConfig, Prepared, Tokens, TokenSpec, encoder

LAST = 0


class BytesConfig(EncoderConfig):
    streams = ("audio",)
    reads = {reads}
    longest: int = 64

    def infer(self):
        return TokenSpec(modality="audio", dim=8, tokens=64, exact=False)


@encoder("bytes", config=BytesConfig)
class Bytes(nn.Module):
    """A token for each byte of the subtitle, or of what else is read."""

    pretrained = False

    def __init__(self, config, output):
        super().__init__()
        self.longest = config.longest
        self.table = nn.Embedding(256, output.dim)

    def prepare(self, clip):
        from {package}.inside import shift

        raw = ({read})[: self.longest][-LAST:]
        if not raw:
            return None
        return Prepared((torch.tensor(list(raw)) + {helper}.SHIFT + shift()) % 256, torch.arange(len(raw)).float())

    def forward(self, batch):
        values = self.table(batch.values.masked_fill(~batch.mask, 0)).masked_fill(~batch.mask[..., None], 0.0)
        return Tokens(values, batch.mask, batch.times)
'''
PIPELINE = """\
seed: 3
encoders:
  words: {plugin: bytes, input: audio}
  audio: {plugin: mel, n_mels: 8, stack: 10, max_seconds: 1}
fusers: {w: {plugin: mean, inputs: [words]}, a: {plugin: mean, inputs: [audio]}}
llm: {plugin: causal-lm, init: random, architecture: {model_type: llama, vocab_size: 300, hidden_size: 32,
  intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 2,
  max_position_embeddings: 512}}
prompt: {template: "{w}{a} {question}", question: "What?"}
presence: off
"""
SUBTITLE = "clip.subtitle.encode()"
BOTH = '("media", "subtitle")'


def write_sound(path: Path, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=9000) * 3000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


@dataclass
class Work:
    """A folder with a plugin file, the modules that it imports, a pipeline and two clips."""

    folder: Path
    # Modules are imported once a process: each test has its own.
    helper: str
    package: str
    changes: tuple[str, ...] = ()
    subtitles: list[str] = field(default_factory=lambda: ["I am so happy today", "a funeral"])

    def write(self, reads: str = BOTH, read: str = SUBTITLE) -> None:
        text = PLUGIN.format(helper=self.helper, package=self.package, reads=reads, read=read)
        (self.folder / "words.py").write_text(text)
        (self.folder / "p.yaml").write_text(PIPELINE)
        (self.folder / f"{self.helper}.py").write_text("SHIFT = 0\n")
        inside = self.folder / self.package / "inside"
        inside.mkdir(parents=True)
        (self.folder / self.package / "__init__.py").write_text("")
        (inside / "__init__.py").write_text("from .deep import shift\n")
        (inside / "deep.py").write_text("def shift():\n    return 1\n")
        for number in range(2):
            write_sound(self.folder / f"clip{number}.wav", number)

    def examples(self) -> list[Example]:
        return [
            Example(f"clip{number}", self.folder / f"clip{number}.wav", subtitle, (), "x")
            for number, subtitle in enumerate(self.subtitles)
        ]

    def encode(self, folder: str, *changes: str, names: list[str] | None = None) -> Any:
        return api.encode(
            self.folder / "p.yaml",
            self.examples(),
            self.folder / folder,
            *self.changes,
            *changes,
            encoders=names,
            plugins=[str(self.folder / "words.py")],
        )

    def tokens(self, folder: str) -> list[dict[str, Any]]:
        """What training would read: raises where it would refuse."""
        cache = FeatureCache.open(self.folder / folder)
        plan = api.plan(self.folder / "p.yaml", *self.changes, plugins=[str(self.folder / "words.py")])
        cache.check_plan(plan)
        samples, _ = cache.samples(self.examples(), plan)
        return [samples[index].media for index in range(len(samples))]

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def work(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Work:
    """The folder, on the path of modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    number = zlib.crc32(request.node.nodeid.encode())
    new_work = Work(tmp_path, f"helper_{number}", f"package_{number}")
    new_work.write()
    return new_work


CHANGES: dict[str, Callable[[Work], object]] = {
    "nothing": lambda work: None,
    "the subtitle": lambda work: work.subtitles.__setitem__(0, "something else"),
    "no subtitle": lambda work: work.subtitles.__setitem__(1, ""),
    "the subtitles swapped": lambda work: work.subtitles.reverse(),
    "the sound": lambda work: write_sound(work.folder / "clip0.wav", 9),
    "the sounds swapped": lambda work: (
        write_sound(work.folder / "clip0.wav", 1),
        write_sound(work.folder / "clip1.wav", 0),
    ),
    "the plugin's file": lambda work: work.replace("words.py", "LAST = 0", "LAST = 5"),
    "a module that it imports": lambda work: work.replace(f"{work.helper}.py", "SHIFT = 0", "SHIFT = 3"),
    "a module of a package that a function imports": lambda work: work.replace(
        f"{work.package}/inside/deep.py", "return 1", "return 2"
    ),
    "an option": lambda work: setattr(work, "changes", ("encoders.words.longest=4",)),
    "a built-in's option": lambda work: setattr(work, "changes", ("encoders.audio.n_mels=9",)),
    "the weights": lambda work: setattr(work, "changes", ("seed=4",)),
    "the presence": lambda work: setattr(work, "changes", ("presence={voice: cues}",)),
    "what is read": lambda work: work.replace("words.py", BOTH, '("subtitle",)'),
    "a comment": lambda work: work.replace(f"{work.helper}.py", "SHIFT", "# Of bytes.\nSHIFT"),
}


def same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    return len(first) == len(second) and all(
        one.keys() == two.keys()
        and all(
            (one[name] is None) == (two[name] is None)
            and (one[name] is None or torch.equal(one[name].values, two[name].values))
            for name in one
        )
        for one, two in zip(first, second, strict=True)
    )


def compare_with_an_empty_cache(work: Work) -> bool:
    """Whether the cache "kept" is refused, by reading or by encoding into it; else it must be right."""
    refused = False
    try:
        work.encode("kept")
        before = work.tokens("kept")
    except AffectGPTError:
        refused = True
    try:
        work.encode("empty")
        expected = work.tokens("empty")
    except PluginError:
        # A module that was imported before it changed: nothing can be encoded in this process.
        assert refused
        return True
    if not refused:
        assert same(before, expected)
    return refused


IN_ANOTHER_PROCESS = """\
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {folder!r}]
from test_stale_caches import Work, compare_with_an_empty_cache
work = Work(Path({folder!r}), {helper!r}, {package!r}, {changes!r}, {subtitles!r})
print("refused" if compare_with_an_empty_cache(work) else "equal")
"""
REFUSED = {*CHANGES} - {
    "nothing",
    "the subtitle",
    "no subtitle",
    "the subtitles swapped",
    "the sound",
    "the sounds swapped",
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_a_cache_gives_what_an_empty_one_gives_or_refuses(change: str, work: Work) -> None:
    assert work.encode("kept").new == 2
    CHANGES[change](work)
    assert compare_with_an_empty_cache(work) == (change in REFUSED)


@pytest.mark.parametrize(
    "change",
    [
        "a module that it imports",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("nothing", "the plugin's file")),
    ],
)
def test_the_same_in_another_process(change: str, work: Work) -> None:
    work.encode("kept")
    CHANGES[change](work)
    script = IN_ANOTHER_PROCESS.format(tests=str(Path(__file__).parent), **vars(work) | {"folder": str(work.folder)})
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["equal" if change == "nothing" else "refused"]
    assert (work.folder / "empty").exists(), "in a new process an empty cache is encoded"


def test_what_differs_is_named(work: Work) -> None:
    work.encode("kept")
    CHANGES["the plugin's file"](work)
    with pytest.raises(AffectGPTError, match=r"encoders\.words\.code\.words\.py"):
        work.encode("kept")
    with pytest.raises(AffectGPTError, match=r"other code of this encoder\n  found: words\.py"):
        work.tokens("kept")
    CHANGES["a module that it imports"](work)
    with pytest.raises(AffectGPTError, match=rf"{work.helper}\.py: this file changed since it was imported"):
        work.encode("another")
    assert not (work.folder / "another").exists()


UNDECLARED = [
    ('("media",)', SUBTITLE, "encoder 'words' reads the subtitle, which it does not declare"),
    ('("subtitle",)', "bytes(len(clip.waveform()) % 61)", "reads the pictures or the sound, which it does not"),
    (
        BOTH,
        'clip.path.with_suffix(".txt").read_bytes()',
        "reads the path of the clip, which a feature cache cannot",
    ),
    (BOTH, 'str(clip.extra("physio")).encode()', "reads a further file of the clip, which a feature cache cannot"),
    ('("media",)', "clip.present(face='always').subtitle.encode()", 'to do: reads = ("media", "subtitle")'),
]


@pytest.mark.parametrize(
    ("reads", "read", "words", "workers"),
    [
        *((*values, 0) for values in UNDECLARED),
        (*UNDECLARED[0], 1),
        *(pytest.param(*values, 1, marks=pytest.mark.slow) for values in UNDECLARED[1:]),
    ],
)
def test_what_is_not_declared_is_not_given_with_a_cache_and_is_without(
    reads: str, read: str, words: str, workers: int, work: Work
) -> None:
    for number in range(2):
        (work.folder / f"clip{number}.txt").write_text("beside")
    (work.folder / "words.py").write_text(
        PLUGIN.format(helper=work.helper, package=work.package, reads=reads, read=read)
    )
    plugins = [str(work.folder / "words.py")]
    with pytest.raises(PluginError) as error:
        api.encode(work.folder / "p.yaml", work.examples(), work.folder / "kept", workers=workers, plugins=plugins)
    assert words in str(error.value)
    plan = api.plan(work.folder / "p.yaml", plugins=plugins)
    encoders = dict(build_encoders(plan).items())
    assert prepare_streams(plan, encoders, work.examples()[0].open())["words"] is not None


def test_a_part_of_the_encoders_finds_the_same_clips(work: Work) -> None:
    work.encode("kept")
    assert json.loads((work.folder / "kept" / "cache.json").read_text())["reads"] == ["media", "subtitle"]
    work.changes = ("encoders.words=null", "fusers.w=null", "prompt.template='{a} {question}'")
    part = work.tokens("kept")
    work.encode("part")
    assert json.loads((work.folder / "part" / "cache.json").read_text())["reads"] == ["media"]
    assert same(part, work.tokens("part"))


def test_a_cache_of_media_alone_serves_another_subtitle(work: Work) -> None:
    work.encode("kept", names=["audio"])
    CHANGES["the subtitle"](work)
    assert work.encode("kept", names=["audio"]).new == 0


@pytest.mark.parametrize("reads", ['("subtitles",)', '("media", "file:physio")', '"media"', "()"])
def test_reads_that_cannot_be_declared_are_refused(reads: str, work: Work) -> None:
    work.replace("words.py", BOTH, reads)
    with pytest.raises(PluginError, match=r"BytesConfig\.reads names what no encoder can declare") as error:
        work.encode("kept")
    assert "'media' and 'subtitle'" in str(error.value)


def test_a_version_that_is_set_by_hand_takes_the_place_of_the_code(work: Work) -> None:
    work.replace("words.py", "    longest: int", "    feature_version = 1\n    longest: int")
    work.encode("kept")
    work.replace("words.py", "token for each byte", "token for every byte")
    assert work.encode("kept").new == 0
    work.replace("words.py", "feature_version = 1", "feature_version = 2")
    with pytest.raises(AffectGPTError, match=r"words\.code\.feature_version '1'"):
        work.encode("kept")


def test_a_version_does_not_count_for_a_class_that_derives(work: Work) -> None:
    from affectgpt.core.contracts import EncoderConfig
    from affectgpt.data.feature_cache.keys import code_of_encoder

    own = """
from affectgpt.plugins.encoders.mel import Mel
from affectgpt.plugins.encoders.mel_config import MelConfig
from affectgpt import encoder
class LouderConfig(MelConfig): pass
@encoder("louder", config=LouderConfig)
class Louder(Mel): pass
"""
    (work.folder / "louder.py").write_text(own)
    plan = api.plan(
        work.folder / "p.yaml",
        "encoders.words=null",
        "fusers.w=null",
        "encoders.audio={plugin: louder}",
        "prompt.template='{a} {question}'",
        plugins=[str(work.folder / "louder.py")],
    )
    node = plan.encoders["audio"]
    assert isinstance(node.config, EncoderConfig)
    assert code_of_encoder(node).keys() == {"louder.py", "affectgpt"}


def test_every_encoder_of_this_project_has_a_version_of_its_own() -> None:
    from affectgpt.registry.discovery import discover

    catalog = discover()
    for name in catalog.names("encoder"):
        entry = catalog.get("encoder", name)
        if entry.is_built_in():
            assert vars(catalog.config_class(entry)).get("feature_version") == 1, name
