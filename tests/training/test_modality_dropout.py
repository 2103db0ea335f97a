"""What modality dropout takes away, and what it never does."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import torch

from affectgpt.core.tokens import Prepared
from affectgpt.data.samples import Sample
from affectgpt.training.modality_dropout import ModalityDropout

DRAW = random.Random(1)


def plan(**streams: str) -> Any:
    nodes = {name: SimpleNamespace(config=SimpleNamespace(input=stream)) for name, stream in streams.items()}
    return SimpleNamespace(encoders=nodes)


def sample(subtitle: str = "words", **there: bool) -> Sample:
    media = {name: Prepared(torch.ones(1, 2), torch.zeros(1)) if here else None for name, here in there.items()}
    return Sample("a", media, subtitle, "answer")


def modalities_of(item: Sample) -> tuple[str, ...]:
    streams = [name for name, media in item.media.items() if media is not None]
    return (*streams, *(["subtitle"] if item.subtitle else []))


def test_each_modality_is_taken_about_equally_often_and_one_at_a_time() -> None:
    drop, full = ModalityDropout(plan(face="face", audio="audio"), 0.6), sample(face=True, audio=True)
    results = [modalities_of(drop.apply(full, DRAW)) for _ in range(3000)]
    shares = {retained: results.count(retained) / len(results) for retained in set(results)}
    pairs = {("audio", "subtitle"), ("face", "subtitle"), ("face", "audio")}
    assert set(shares) == {("face", "audio", "subtitle"), *pairs}
    assert abs(shares[("face", "audio", "subtitle")] - 0.4) < 0.04
    assert all(abs(share - 0.2) < 0.04 for retained, share in shares.items() if len(retained) == 2)
    assert modalities_of(full) == ("face", "audio", "subtitle")


def test_a_stream_goes_from_every_encoder_that_reads_it() -> None:
    drop = ModalityDropout(plan(one="face", two="face", audio="audio"), 0.99)
    names = {modalities_of(drop.apply(sample("", one=True, two=True, audio=True), DRAW)) for _ in range(50)}
    assert names - {("one", "two", "audio")} == {("one", "two"), ("audio",)}


def test_the_last_stream_is_never_taken() -> None:
    drop = ModalityDropout(plan(face="face", audio="audio"), 0.99)
    assert {modalities_of(drop.apply(sample("", face=True, audio=False), DRAW)) for _ in range(50)} == {("face",)}


def test_no_chance_changes_nothing() -> None:
    drop, full = ModalityDropout(plan(face="face", audio="audio"), 0.0), sample(face=True, audio=True)
    assert all(drop.apply(full, DRAW) is full for _ in range(20))
