"""What goes wrong while a micro-batch is made is told in the same words, whoever makes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from affectgpt.core.pipeline import Pipeline
from affectgpt.data.samples import Sample
from affectgpt.registry.errors import AffectGPTError, DataError, Problem
from affectgpt.training.loop import train

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
