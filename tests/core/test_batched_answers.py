"""Clips in batches of like length: which, how they are told to be, and that nobody sees it in the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import collate
from affectgpt.core.batched_answers import answer_window, group_by_length, window_size, windows
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.registry.catalog import Catalog


@dataclass
class Read:
    media: dict[str, Any]
    subtitle: str


@pytest.fixture
def pipeline(small: Path, catalog: Catalog) -> Pipeline:
    config = read_config(small, catalog, [])
    return assemble(make_plan(config))


@pytest.fixture
def clips(pipeline: Pipeline, clip: Callable) -> list[Read]:
    return [
        Read(pipeline.prepare(clip(seed, sound=seed % 5 != 0, picture=seed % 3 != 0, seconds=0.3 + seed % 4)), subtitle)
        for seed, subtitle in enumerate(["", "some words", "w" * 60, "  ", "it 它", "", "many more words", "x", "y"])
    ]


@given(st.lists(st.integers(0, 99), max_size=70), st.integers(1, 9))
def test_each_clip_is_in_one_batch_and_full_ones_pad_no_more_than_as_given(lengths: list[int], size: int) -> None:
    batches = group_by_length(lengths, size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)

    def padded(groups: list[list[int]]) -> int:
        return sum(len(group) * max(lengths[index] for index in group) for group in groups)

    given_order = [list(range(at, min(at + size, len(lengths)))) for at in range(0, len(lengths), size)]
    assert len(lengths) % size or padded(batches) <= padded(given_order)


def test_a_window_is_some_batches_and_bounded() -> None:
    assert [window_size(size) for size in (1, 2, 8, 16, 32, 100)] == [1, 8, 32, 64, 64, 100]
    read: list[int] = []
    window_count = windows((read.append(index) or index for index in range(10_000)), 2)
    assert next(window_count) == list(range(8)) and len(read) == 8


def test_the_length_that_is_told_is_the_prompts(pipeline: Pipeline, clips: list[Read]) -> None:
    for clip_media in clips:
        batch = collate([clip_media.media], [clip_media.subtitle])
        (prompt,) = pipeline.prompts(pipeline.fuse(pipeline.encode(batch)), batch.subtitles)
        assert pipeline.prompt_length(clip_media.media, clip_media.subtitle) == len(prompt)


def test_answers_come_in_order_as_if_each_clip_were_alone(
    pipeline: Pipeline, clips: list[Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    singles = [answer_window(pipeline, [item], 1)[0] for item in clips]
    sizes: list[list[int]] = []
    known = pipeline.generate

    def watched(batch: Any, question: Any, **options: Any) -> Any:
        sizes.append([len(item) for item in batch.subtitles])
        return known(batch, question, **options)

    monkeypatch.setattr(pipeline, "generate", watched)
    together = answer_window(pipeline, clips, 4)
    assert [item.answer.text for item in together] == [item.answer.text for item in singles]
    for one, single in zip(together, singles, strict=True):
        assert one.counted == pytest.approx(single.counted, abs=1e-3)
        assert one.answer.attribution == {
            name: pytest.approx(item, abs=1e-5) for name, item in single.answer.attribution.items()
        }
    assert list(map(len, sizes)) == [4, 4, 1] and sizes[0][0] == 60
    assert answer_window(pipeline, [], 4) == []
