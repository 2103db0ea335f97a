"""Stored features in the place of encoders: what is given, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from affectgpt.core.assembly import assemble
from affectgpt.core.plan import Plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache import file_hashes as files
from affectgpt.data.feature_cache import keys
from affectgpt.data.feature_cache.reader import FeatureCache, FeatureDataset
from affectgpt.data.feature_cache.writer import Encoded
from affectgpt.data.samples import read_samples
from affectgpt.registry.errors import AffectGPTError, DataError

Plans = Callable[..., Plan]
Clips = list[Example]
SHARDS = [f"shard-0000{number}.safetensors" for number in range(4)]


@pytest.fixture
def cache(encoded: Callable[..., Encoded], clips: Clips, tmp_path: Path) -> Path:
    """The folder of a cache of the seven clips in four shards."""
    encoded(clips)
    return tmp_path / "cache"


def everything(folder: Path, clips: Clips) -> list[Any]:
    samples, _ = FeatureCache.open(folder).samples(clips)
    return [samples[index] for index in range(len(samples))]


def test_texts_are_the_examples_own(cache: Path, clips: Clips) -> None:
    changed_clips = [
        replace(clip, name=f"n{i}", subtitle="s", description="d", labels=("l",)) for i, clip in enumerate(clips)
    ]
    samples, broken = FeatureCache.open(cache).samples(changed_clips[::-1])
    assert (
        len(samples) == 7
        and not broken
        and [example.name for example in samples.examples] == [c.name for c in changed_clips[::-1]]
    )
    sample = samples[0]
    assert (sample.name, sample.subtitle, sample.description, sample.labels) == ("n6", "s", "d", ("l",))


def test_facts_tell_one_set_of_features_from_another(cache: Path, clips: Clips) -> None:
    facts = FeatureCache.open(cache).samples(clips)[0].facts
    assert FeatureCache.open(cache).samples(clips)[0].facts == facts
    assert FeatureCache.open(cache).samples(clips[1:])[0].facts != facts
    index = cache / "index.jsonl"
    text, row = index.read_text(), json.loads(index.read_text().splitlines()[0])
    values = next(example["values"] for example in row["features"].values() if example)
    assert text.count(values) == 1
    index.write_text(text.replace(values, values[::-1]))
    assert FeatureCache.open(cache).samples(clips)[0].facts != facts


def test_workers_read_a_pickled_data_set(cache: Path, clips: Clips) -> None:
    samples, _ = FeatureCache.open(cache).samples(clips)
    first = samples[0]
    sent = pickle.loads(pickle.dumps(samples))
    assert torch.equal(sent[0].media["face"].values, first.media["face"].values)
    samples_read = list(DataLoader(samples, batch_size=None, num_workers=2))
    assert [example.name for example in samples_read] == [clip.name for clip in clips]
    assert (
        torch.equal(samples_read[0].media["face"].values, first.media["face"].values)
        and samples_read[2].media["audio"] is None
    )


SOUND_ONLY = ("encoders.face=null", "fusers.multi=null")


def test_only_the_features_of_the_plan_are_read(cache: Path, clips: Clips, plan: Callable[..., Plan]) -> None:
    samples, _ = FeatureCache.open(cache).samples(
        clips, plan(*SOUND_ONLY, "prompt.template='{audio_tokens} {question}'")
    )
    assert samples[0].media.keys() == {"audio"}


@pytest.mark.parametrize("template", ["{audio_tokens} {question}", "{audio_tokens} {subtitle} {question}"])
def test_a_clip_of_which_nothing_stands_in_the_prompt_is_unreadable_as_without_a_cache(
    template: str, cache: Path, clips: Clips, plan: Callable[..., Plan]
) -> None:
    without_words = [replace(clip, subtitle="") for clip in clips]
    for examples in (clips, without_words):
        pipeline = assemble(plan(*SOUND_ONLY, f"prompt.template='{template}'"))
        fresh, expected = read_samples(examples, pipeline.prepare_or_raise, workers=0, allow_unreadable=1)
        samples, broken = FeatureCache.open(cache).samples(examples, pipeline.plan)
        assert [sample.name for sample in fresh] == [example.name for example in samples.examples]
        assert broken == expected and bool(broken) == ("subtitle" not in template or examples is without_words)


def test_no_file_is_hashed_again_unless_it_changed(
    cache: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hashed: list[Path] = []
    work = files.sha256_of_file
    monkeypatch.setattr(files, "sha256_of_file", lambda path: hashed.append(path) or work(path))
    everything(cache, clips)
    assert not hashed
    moved = tmp_path / "moved"
    shutil.copytree(clips[0].video.parent, moved)
    expected_paths = [
        replace(clip, video=moved / clip.video.name, faces=clip.faces and moved / clip.faces.name) for clip in clips
    ]
    assert len(everything(cache, expected_paths)) == 7 and len(hashed) == 13


def test_a_changed_clip_and_a_new_one_are_named(
    encoded: Callable[..., Encoded], own_clips: Any, tmp_path: Path
) -> None:
    clips = own_clips(5)
    encoded(clips[:4])
    cache = FeatureCache.open(tmp_path / "cache")
    os.utime(clips[0].video)
    assert len(cache.samples(clips[:4])[0]) == 4
    clips[1].video.write_bytes(clips[2].video.read_bytes())
    with pytest.raises(DataError, match="run encode again") as caught:
        cache.samples(clips)
    changed, new = sorted(caught.value.problems, key=lambda each: each.found)
    assert "clip1" in changed.found and "as their files are now" in changed.what
    assert "clip4" in new.found and "clip1" not in new.found and "clip0" not in str(caught.value)


def test_a_clip_that_is_gone_is_given_apart(encoded: Callable[..., Encoded], own_clips: Any, tmp_path: Path) -> None:
    clips = own_clips(3)
    encoded(clips)
    clips[1].video.unlink()
    samples, broken = FeatureCache.open(tmp_path / "cache").samples(clips)
    assert [example.name for example in samples.examples] == ["clip0", "clip2"]
    assert [example.name for example in broken] == ["clip1"] and str(clips[1].video) in str(broken[0].problem)


def test_a_data_set_says_how_long_it_is(cache: Path, clips: Clips) -> None:
    samples, _ = FeatureCache.open(cache).samples(clips[:3])
    assert isinstance(samples, FeatureDataset) and len(samples) == 3
    with pytest.raises(IndexError):
        _ = samples[3]


# -- what was altered


def spoil_values(folder: Path, change: Callable[[torch.Tensor], torch.Tensor], *, checksums: bool = False) -> None:
    """Change the values of clip0's face in its shard, and their checksum in the index if asked."""
    path = folder / SHARDS[0]
    tensors = load_file(path)
    lines = (folder / "index.jsonl").read_text().splitlines()
    row = next(example for example in map(json.loads, lines) if example.get("name") == "clip0")
    name = f"{row['clip']}.face.values"
    tensors[name] = change(tensors[name]).contiguous()
    size = path.stat().st_size
    save_file(tensors, path)
    text = "\n".join(lines) + "\n"
    if checksums:
        text = text.replace(row["features"]["face"]["values"], keys.checksum(tensors[name]))
    text = text.replace(f'"shard": 0, "size": {size}', f'"shard": 0, "size": {path.stat().st_size}')
    (folder / "index.jsonl").write_text(text)


def flip(path: Path, index: int) -> None:
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(content)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap(folder: Path) -> None:
    first, second = (load_file(folder / name) for name in SHARDS[:2])
    save_file({key: value for key, value in zip(first, second.values(), strict=False)}, folder / SHARDS[0])


ALTERED: dict[str, Callable[[Path], object]] = {
    "a shard is gone": lambda at: (at / SHARDS[1]).unlink(),
    "a shard is cut off": lambda at: (at / SHARDS[0]).write_bytes((at / SHARDS[0]).read_bytes()[:-1]),
    "a shard is longer": lambda at: (at / SHARDS[0]).write_bytes((at / SHARDS[0]).read_bytes() + b" "),
    "a shard is a pipe": lambda at: fifo(at / SHARDS[0]),
    "a shard is a folder": lambda at: ((at / SHARDS[0]).unlink(), (at / SHARDS[0]).mkdir()),
    "the last bit of a shard": lambda at: flip(at / SHARDS[0], -1),
    "the first byte of a shard": lambda at: flip(at / SHARDS[0], 0),
    "a shard's header": lambda at: flip(at / SHARDS[0], 20),
    "zeros for a shard": lambda at: (at / SHARDS[0]).write_bytes(bytes((at / SHARDS[0]).stat().st_size)),
    "another cache's shard": lambda at: swap(at),
    "one value": lambda at: spoil_values(at, lambda values: values + 1e-6),
    "a shape": lambda at: spoil_values(at, lambda values: torch.cat([values, values]), checksums=True),
    "a width": lambda at: spoil_values(at, lambda values: values[:, :8], checksums=True),
    "a dtype": lambda at: spoil_values(at, lambda values: values.half(), checksums=True),
    "values that are no numbers": lambda at: spoil_values(at, lambda values: values * torch.nan, checksums=True),
    "an index that leads elsewhere": lambda at: edit(at / "index.jsonl", '"shard": 0', '"shard": "../../shard"'),
    "a shard number below 0": lambda at: edit(at / "index.jsonl", '"shard": 0', '"shard": -1'),
    "a shard number that repeats": lambda at: edit(at / "index.jsonl", '"shard": 1', '"shard": 0'),
    "a key that is a path": lambda at: edit(at / "index.jsonl", '"clip": "', '"clip": "../'),
    "a NaN in the index": lambda at: edit(at / "index.jsonl", '"seconds": 0', '"seconds": NaN'),
    "a count of tokens": lambda at: edit(at / "index.jsonl", '"tokens": 1', '"tokens": 10000000000000'),
    "an unknown encoder": lambda at: edit(at / "index.jsonl", '"face": ', '"fase": '),
    "an unknown field": lambda at: edit(at / "index.jsonl", '"seconds"', '"code": "x", "seconds"'),
    "deep nesting": lambda at: (at / "index.jsonl").write_text("[" * 200_000 + "\n"),
    "a row that is no JSON": lambda at: (at / "index.jsonl").write_bytes(b"\xff\xfe\n"),
    "a line without end": lambda at: (at / "index.jsonl").write_bytes(b" " * 11_000_000),
    "an index that is a pipe": lambda at: fifo(at / "index.jsonl"),
    "no settings": lambda at: (at / "cache.json").unlink(),
    "settings of something else": lambda at: (at / "cache.json").write_text('{"a": 1}'),
    "settings of a later version": lambda at: edit(at / "cache.json", '"version": 2', '"version": 3'),
    "no code of an encoder": lambda at: edit(at / "cache.json", '"feature_version": "1"', ""),
    "no version of the reader": lambda at: edit(at / "cache.json", '"media_version": 2', '"media_version": null'),
    "settings that are too large": lambda at: (at / "cache.json").write_bytes(b" " * 17_000_000),
    "settings with a path for a name": lambda at: edit(at / "cache.json", '"face": {', '"../face": {'),
    "a hash of a file": lambda at: edit(at / "files.jsonl", '"sha256": "', '"sha256": "../'),
    "files that are a folder": lambda at: ((at / "files.jsonl").unlink(), (at / "files.jsonl").mkdir()),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_is_refused_with_its_place(what: str, cache: Path, clips: Clips, stopped_after: Any) -> None:
    before = everything(cache, clips)
    ALTERED[what](cache)
    with stopped_after(20), pytest.raises(AffectGPTError) as caught:
        samples_read = everything(cache, clips)
        assert len(samples_read) == len(before) and not samples_read, "read as if nothing had happened"
    assert isinstance(caught.value, DataError) and caught.value.exit_code == 2
    (problem,) = caught.value.problems
    assert problem.where.startswith(str(cache)) and len(str(problem)) < 1500
    if "features of a clip" in problem.what:
        assert any(example.name in problem.where for example in clips)


@pytest.mark.parametrize("what", ["a shard is gone", "a shard is cut off", "a shard is longer", "a shard is a pipe"])
def test_a_shard_that_is_not_whole_is_found_before_anything_is_read(what: str, cache: Path) -> None:
    ALTERED[what](cache)
    with pytest.raises(DataError, match="shard-0000"):
        FeatureCache.open(cache)


def test_a_shard_that_becomes_a_pipe_is_not_waited_for(cache: Path, clips: Clips, stopped_after: Any) -> None:
    samples, _ = FeatureCache.open(cache).samples(clips)
    fifo(cache / SHARDS[0])
    with stopped_after(20), pytest.raises(DataError, match="clip0"):
        _ = samples[0]


def test_a_shard_that_is_altered_after_opening_is_found_when_it_is_read(cache: Path, clips: Clips) -> None:
    samples, _ = FeatureCache.open(cache).samples(clips)
    flip(cache / SHARDS[3], -1)
    assert samples[0].name == "clip0"
    with pytest.raises(DataError, match="clip6") as caught:
        _ = samples[6]
    assert str(cache / SHARDS[3]) in str(caught.value)


def test_a_value_that_was_given_does_not_follow_the_file(cache: Path, clips: Clips) -> None:
    samples, _ = FeatureCache.open(cache).samples(clips)
    sample = samples[0]
    before = sample.media["face"].values.clone()
    with (cache / SHARDS[0]).open("r+b") as file:
        file.seek(-2000, os.SEEK_END)
        file.write(bytes(2000))
    assert torch.equal(sample.media["face"].values, before)
