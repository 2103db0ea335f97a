"""Shares of modalities: what they are, that they cost no encoder call, and that they can be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from affectgpt.core import influence as influence_module
from affectgpt.core.assembly import assemble
from affectgpt.core.batch import Batch, collate
from affectgpt.core.batched_answers import answer_window
from affectgpt.core.influence import influence
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.tokens import Tokens
from affectgpt.data.samples import Sample
from affectgpt.registry.catalog import Catalog

SUBTITLES = ["hi", "", "it rains", "  ", "one two three"]
ANSWERS = ["an answer", "another", "x", "a longer answer than these", ""]


@pytest.fixture
def pipeline(small: Path, catalog: Catalog) -> Pipeline:
    return assemble(make_plan(read_config(small, catalog, []))).eval()


@pytest.fixture
def batch(pipeline: Pipeline, clip: Callable) -> Batch:
    clips = [clip(1), clip(2, sound=False), clip(3, picture=False, seconds=2.5), clip(4, seconds=0.4), clip(5)]
    return collate([pipeline.prepare(item) for item in clips], SUBTITLES)


def one_at_a_time(pipeline: Pipeline, batch: Batch, answers: list[str]) -> list[dict[str, float | None]]:
    """The definition: the log-probability of the whole batch, encoded anew without each stream."""
    full = pipeline.log_likelihood(batch, answers)
    lost = {
        "face": full - pipeline.log_likelihood(batch.without(["face"]), answers),
        "audio": full - pipeline.log_likelihood(batch.without(["audio"]), answers),
        "subtitle": full - pipeline.log_likelihood(batch.without((), subtitle=True), answers),
    }
    shares: list[dict[str, float | None]] = []
    for row, text in enumerate(batch.subtitles):
        media = {name: item is not None and bool(item.mask[row].any()) for name, item in batch.media.items()}
        has = {**media, "subtitle": bool(text.strip())}
        drops = {name: max(0.0, float(values[row])) if has[name] else None for name, values in lost.items()}
        total = sum(drop or 0.0 for drop in drops.values())
        shares.append({name: None if drop is None else drop / total if total else 0.0 for name, drop in drops.items()})
    return shares


Shares = list[dict[str, float | None]]


def assert_near(shares: Shares, expected: Shares, by: float) -> None:
    assert len(shares) == len(expected)
    for row, expected_row in zip(shares, expected, strict=True):
        assert row.keys() == expected_row.keys()
        assert row == pytest.approx(expected_row, abs=by)


@pytest.mark.parametrize("tokens", [1, 100_000])
def test_shares_are_those_of_leaving_out_one_at_a_time(
    pipeline: Pipeline, batch: Batch, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influence_module, "TOKENS", tokens)
    for part in (pipeline.fusers, pipeline.projectors, pipeline.llm):
        part.double()
    encode = pipeline.encode

    def encode_exactly(batch: Batch, **options: bool) -> dict[str, Tokens]:
        return {
            name: replace(tokens, values=tokens.values.double()) for name, tokens in encode(batch, **options).items()
        }

    monkeypatch.setattr(pipeline, "encode", encode_exactly)
    expected = one_at_a_time(pipeline, batch, ANSWERS)
    shares = influence(pipeline, batch, ANSWERS)
    assert any(0.1 < (share or 0) < 0.9 for row in expected for share in row.values())
    assert_near(shares, expected, 1e-9)


class Count:
    """How many clips an encoder was run on."""

    def __init__(self, module: nn.Module) -> None:
        self.clips = 0
        module.register_forward_pre_hook(self._add)

    def _add(self, _: nn.Module, arguments: tuple) -> None:
        self.clips += len(arguments[0].values)


@pytest.mark.parametrize("shares", [True, False])
def test_each_encoder_runs_once_a_clip(pipeline: Pipeline, clip: Callable, shares: bool) -> None:
    counts = {name: Count(encoder) for name, encoder in pipeline.encoders.items()}
    window = [Sample(f"clip {seed}", pipeline.prepare(clip(seed)), "words", "", (), 1.0, ()) for seed in range(5)]
    answers = answer_window(pipeline, window, 2, shares=shares)
    assert {name: count.clips for name, count in counts.items()} == {"audio": 5, "face": 5}
    assert all(set(answer.counted) == ({"audio", "face", "subtitle"} if shares else set()) for answer in answers)


def test_without_shares_nothing_is_measured(
    pipeline: Pipeline, clip: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = [Sample(f"clip {seed}", pipeline.prepare(clip(seed)), "words") for seed in range(3)]
    texts = [row.answer.text for row in answer_window(pipeline, window, 2)]
    monkeypatch.setattr(pipeline.llm, "token_losses", None)
    rows = answer_window(pipeline, window, 2, shares=False)
    assert [row.answer.text for row in rows] == texts
    assert [row.counted for row in rows] == [{}, {}, {}]


def test_a_likelihood_tracks_no_gradient(pipeline: Pipeline, batch: Batch) -> None:
    influence(pipeline, batch, ANSWERS)
    assert not pipeline.log_likelihood(batch, ANSWERS).requires_grad
    assert torch.is_grad_enabled()
