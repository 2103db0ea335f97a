"""What goes wrong while a micro-batch is made is told in the same words, whoever makes it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import Plan
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import AffectGPTError, DataError, Problem
from affectgpt.training.loop import train
from affectgpt.training.micro_batches import BatchRequest, MicroBatch, MicroBatchDataset, draw_answers

DAMAGED = [Problem("cannot be used", "shard-3: clip2", "another checksum", "what was written", "encode"), Problem("so")]


class Damaged:
    """Clips of a cache one of which was altered."""

    def __init__(self, samples: list[Sample]) -> None:
        self.examples = samples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise DataError.from_problems(DAMAGED)
        return self.examples[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_feature_is_told_as_it_was(
    build: Callable[..., Pipeline], samples: list[Sample], workers: int
) -> None:
    with pytest.raises(DataError) as caught:
        train(build("training.steps=9"), Damaged(samples), workers=workers)
    assert caught.value.problems == tuple(DAMAGED)
    assert str(caught.value) == str(AffectGPTError.from_problems(DAMAGED))


class Traced:
    """Clips that note when they are read."""

    def __init__(self, samples: list[Sample], events: list[str]) -> None:
        self.examples, self.events = samples, events

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Sample:
        self.events.append("read")
        return self.examples[index]


def test_a_step_holds_one_of_its_micro_batches_at_a_time(
    build: Callable[..., Pipeline], samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    pipeline = build("training.steps=1", "training.batch_size=1", "training.gradient_accumulation=4")
    forward = pipeline.forward

    def traced(*arguments: Any, **options: Any) -> Any:
        events.append("forward")
        return forward(*arguments, **options)

    monkeypatch.setattr(pipeline, "forward", traced)
    train(pipeline, Traced(samples, events))
    assert events == ["read", "forward"] * 4


@given(seed=st.integers(0, 2**31), chance=st.floats(0, 0.9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
def test_answers_are_known_before_the_media(
    seed: int, chance: float, build: Callable[..., Pipeline], samples: list[Sample]
) -> None:
    plan = mixed_plan(build)
    texts = [replace(sample, labels=("calm", "tired")) for sample in samples]
    request = BatchRequest((0, 2, 1, 2), seed)
    micro_batch = MicroBatchDataset(texts, plan, chance)[request]
    assert isinstance(micro_batch, MicroBatch)
    drawn = draw_answers([texts[index] for index in request.clips], plan.config, random.Random(seed))
    assert list(zip(micro_batch.answers, micro_batch.questions, strict=True)) == drawn


@cache
def mixed_plan(build: Callable[..., Pipeline]) -> Plan:
    return build("training.target=mixed").plan
