"""Encoding every clip once: what is stored, and what is done with broken clips, other settings and foreign folders."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.plan import Plan
from affectgpt.data.example import Example
from affectgpt.data.feature_cache.fixed_encoders import FrozenEncoders, frozen_encoders
from affectgpt.data.feature_cache.reader import FeatureCache
from affectgpt.data.feature_cache.writer import Encoded
from affectgpt.data.samples import Sample, batches, read_samples
from affectgpt.registry.discovery import discover
from affectgpt.registry.errors import ConfigError, DataError, PluginError

Encode = Callable[..., Encoded]
Plans = Callable[..., Plan]
Clips = list[Example]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(folder: Path, clips: Clips) -> list[Sample]:
    samples, broken = FeatureCache.open(folder).samples(clips)
    assert not broken
    return [samples[index] for index in range(len(samples))]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def test_the_features_are_those_of_the_pipeline(encoded: Encode, plan: Plans, clips: Clips, tmp_path: Path) -> None:
    result = encoded(clips)
    assert (result.clips, result.new, result.broken) == (7, 7, [])
    pipeline = assemble(plan())
    prepared, _ = read_samples(clips, pipeline.prepare, workers=0)
    cached_samples = iter(stored(tmp_path / "cache", clips))
    for batch, _ in batches(prepared, 2):
        with torch.no_grad():
            tokens = pipeline.encode(batch)
        for row in range(len(batch)):
            sample = next(cached_samples)
            for name, expected in tokens.items():
                real = expected.valid()[row]
                cached = sample.media[name]
                assert (cached is None) == (not real.any())
                if cached is not None:
                    assert cached.encoded and cached.values.dtype == cached.times.dtype == torch.float32
                    assert torch.equal(cached.values, expected.values[row][real])
                    assert torch.equal(cached.times, expected.times[row][real])


def test_what_a_clip_lacks_is_absent_and_the_rest_is_known(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    encoded(clips)
    samples = stored(tmp_path / "cache", clips)
    assert [sample.media["audio"] is None for sample in samples] == [index == 2 for index in range(7)]
    assert [sample.media["face"] is None for sample in samples] == [index == 5 for index in range(7)]
    prepared, _ = read_samples(clips, lambda clip: {}, workers=0)
    for sample, read in zip(samples, prepared, strict=True):
        assert sample.name == read.name and sample.seconds == read.seconds > 0
    assert "no sound" in samples[2].notes


def test_samples_can_be_batched_and_fused(encoded: Encode, plan: Plans, clips: Clips, tmp_path: Path) -> None:
    encoded(clips, dtype="bfloat16")
    samples = stored(tmp_path / "cache", clips)
    assert samples[0].media["face"].values.dtype == torch.bfloat16
    pipeline = assemble(plan())
    batch = collate([sample.media for sample in samples], [sample.subtitle for sample in samples])
    assert torch.isfinite(pipeline(batch, [sample.description for sample in samples]))


@pytest.mark.parametrize("workers", [2])
def test_workers_change_nothing(encoded: Encode, clips: Clips, tmp_path: Path, workers: int) -> None:
    encoded(clips)
    encoded(clips, folder=tmp_path / "other", workers=workers)
    assert contents(tmp_path / "other") == contents(tmp_path / "cache")


def test_many_clips_at_a_time_need_few_open_files(encoded: Encode, own_clips: Any, stopped_after: Any) -> None:
    clips = own_clips(24)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(clip) for clip in os.listdir("/dev/fd"))
    # Less than one for each tensor of a batch.
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 40, before[1]))
    try:
        with stopped_after(60):
            assert encoded(clips, batch_size=24, workers=2).new == 24
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_second_run_has_nothing_to_do(
    encoded: Encode, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(clips)
    before = contents(tmp_path / "cache")
    monkeypatch.setattr(FrozenEncoders, "encode", lambda *_: pytest.fail("encoded again"))
    monkeypatch.setattr(
        "affectgpt.data.feature_cache.file_hashes.sha256_of_file", lambda path: pytest.fail("hashed again")
    )
    result = encoded(clips)
    assert (result.clips, result.new) == (7, 0) and contents(tmp_path / "cache") == before


def test_clips_added_later_are_encoded_alone(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    encoded(clips[:3])
    before = contents(folder)
    calls: list[tuple[str, int, int]] = []
    result = encoded([clips[5], *clips[:3], clips[6]], progress=lambda *call: calls.append(call))
    assert (result.clips, result.new) == (5, 2) and ("encoding", 2, 2) in calls
    after = contents(folder)
    for name in ("index.jsonl", "files.jsonl"):
        assert after.pop(name).startswith(before.pop(name))
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 1
    assert [clip.name for clip in stored(folder, clips[5:] + clips[:3])] == [
        "clip5",
        "clip6",
        "clip0",
        "clip1",
        "clip2",
    ]


def test_one_content_under_two_names_is_stored_once(encoded: Encode, own_clips: Any, tmp_path: Path) -> None:
    first, second = own_clips(2)
    copy = tmp_path / "own" / "copy.wav"
    copy.write_bytes(first.video.read_bytes())
    twin = replace(first, name="twin", video=copy, subtitle="other words")
    other_face = replace(first, name="other face", faces=second.faces)
    no_face = replace(first, name="no face", faces=None)
    result = encoded([first, twin, second, other_face, no_face])
    assert (result.clips, result.new) == (5, 4)
    samples = stored(tmp_path / "cache", [first, twin, other_face, no_face])
    assert torch.equal(samples[0].media["face"].values, samples[1].media["face"].values)
    assert not torch.equal(samples[0].media["face"].values, samples[2].media["face"].values)
    assert samples[3].media["face"] is None and samples[1].subtitle == "other words"
    assert len([row for row in rows(tmp_path / "cache") if row["row"] == "clip"]) == 4


def test_only_some_encoders(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    encoded(clips, "encoders.face.frozen=false", names=["audio"])
    cache = FeatureCache.open(tmp_path / "cache")
    assert cache.encoders == ("audio",) and stored(tmp_path / "cache", clips)[0].media.keys() == {"audio"}


def test_an_encoder_chosen_alone_has_the_weights_that_it_has_among_others(plan: Plans) -> None:
    sizes = "features: 24, model_args: {channels: [8, 8, 16, 24], stem_width: 8}"
    frame = f"{{plugin: timm, model: resnet10t, init: random, size: 32, {sizes}}}"
    two = plan(f"encoders.frame={frame}", "fusers.multi.inputs=[face, frame, audio]")
    all_encoders, selected = frozen_encoders(two, discover()), frozen_encoders(two, discover(), ["frame"])
    assert list(selected.modules) == ["frame"] and not selected.modules["frame"].training
    for key, tensor in all_encoders.modules["frame"].state_dict().items():
        assert torch.equal(tensor, selected.modules["frame"].state_dict()[key])


def test_trained_and_unknown_encoders_are_refused(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.frozen") as caught:
        encoded(clips, "encoders.face.frozen=false")
    assert len(caught.value.problems) == 1 and 'changes="encoders.face.frozen=true"' in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'face'"):
        encoded(clips, names=["fase"])
    assert not (tmp_path / "cache").exists()


SPEECH = """encoders.audio={plugin: speech, init: random, clips: 2, seconds: 0.5, layers: 1, normalize: batch,
  architecture: {model_type: hubert, hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1,
  num_attention_heads: 2, conv_dim: [8, 8], conv_kernel: [10, 8], conv_stride: [10, 8], num_conv_pos_embeddings: 4,
  num_conv_pos_embedding_groups: 2}}""".replace("\n", " ")


def test_an_encoder_that_reads_the_whole_batch_is_given_one_clip(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    for size in (1, 4):
        encoded(clips[:5], SPEECH, batch_size=size, folder=tmp_path / str(size))
    for one, second in zip(stored(tmp_path / "1", clips[:5]), stored(tmp_path / "4", clips[:5]), strict=True):
        if one.media["audio"] is not None:
            assert torch.equal(one.media["audio"].values, second.media["audio"].values)


def test_an_encoder_that_tells_no_times_is_refused(
    encoded: Encode, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectgpt.plugins.encoders.mel import Mel

    forward = Mel.forward
    monkeypatch.setattr(Mel, "forward", lambda self, batch: replace(forward(self, batch), times=None))
    with pytest.raises(PluginError, match="when its tokens are"):
        encoded(clips)


# -- other settings, other places


@pytest.mark.parametrize(
    ("overrides", "options", "differs"),
    [
        (["encoders.audio.n_mels=8"], {}, "encoders.audio.options.n_mels 16"),
        (["seed=4"], {}, "encoders.face.weights"),
        ([], {"dtype": "float16"}, "dtype 'float32'"),
        ([], {"batch_size": 3}, "batch_size 2"),
        ([], {"names": ["face"]}, "encoders.audio"),
    ],
)
def test_other_settings_are_refused_and_named(
    encoded: Encode, clips: Clips, tmp_path: Path, overrides: list[str], options: Any, differs: str
) -> None:
    encoded(clips[:2])
    before = contents(tmp_path / "cache")
    with pytest.raises(DataError, match="other settings") as caught:
        encoded(clips, *overrides, **options)
    assert differs in caught.value.problems[0].found and contents(tmp_path / "cache") == before
    assert ".key" not in str(caught.value)


def test_a_folder_with_anything_else_is_left_alone(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "index.jsonl").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        encoded(clips)
    assert contents(folder) == {"index.jsonl": b"mine"}
    with pytest.raises(DataError, match="something else"):
        encoded(clips, folder=folder / "index.jsonl")


def test_two_at_once_are_refused(encoded: Encode, clips: Clips, tmp_path: Path) -> None:
    encoded(clips[:2])
    ready, finished = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        from affectgpt.files.locks import exclusive

        with exclusive(tmp_path / "cache"):
            os.write(ready[1], b"1")
            os.read(finished[0], 1)
            os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(DataError, match="another process"):
            encoded(clips)
    finally:
        os.write(finished[1], b"1")
        os.waitpid(child, 0)
    assert encoded(clips).new == 5


def test_weights_that_no_folder_holds_are_kept(encoded: Encode, plan: Plans, clips: Clips, tmp_path: Path) -> None:
    encoded(clips[:1])
    state = assemble(plan()).encoders.state_dict()
    tensors = load_file(tmp_path / "cache" / "encoders.safetensors")
    assert tensors.keys() == state.keys() and all(torch.equal(tensors[key], state[key]) for key in tensors)
