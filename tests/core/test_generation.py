"""Answers of a pipeline: in any company, cut at stop texts, sampled from a seed, and streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgpt.bundled import TINY
from affectgpt.core.assembly import assemble
from affectgpt.core.batch import Batch, collate
from affectgpt.core.generation import _seed
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.core.saved.model import load
from affectgpt.core.stop_text import cut_at_stop
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError
from affectgpt.testing.noise_clip import NoiseClip

SUBTITLES = ["one", "a much longer subtitle than all of the others have, by far", "", "four", "  ", "six 它 six"]


def built(path: Path, catalog: Catalog, *overrides: str) -> Pipeline:
    # Wide weights: what is written then depends on the whole prompt.
    config = read_config(path, catalog, ["llm.architecture.initializer_range=0.3", *overrides])
    return assemble(make_plan(config))


def prepared(pipeline: Pipeline, clip: Callable) -> list[dict[str, Any]]:
    clips = [
        clip(1),
        clip(2, seconds=3.0),
        clip(3, sound=False),
        clip(4, picture=False),
        clip(5, seconds=0.3),
        clip(6, sound=False, picture=False),
    ]
    for power, clip_media in enumerate(clips):
        clip_media.sound = None if clip_media.sound is None else clip_media.sound * 4.0**power + power
    return [pipeline.prepare(clip_media) for clip_media in clips]


def batch_of(samples: list[dict[str, Any]], chosen: list[int] | None = None) -> Batch:
    chosen = list(range(len(samples))) if chosen is None else chosen
    return collate([samples[index] for index in chosen], [SUBTITLES[index] for index in chosen])


def texts(pipeline: Pipeline, batch: Batch) -> list[str]:
    return [answer.text for answer in pipeline.generate(batch)]


@pytest.mark.parametrize("way", ["greedy", "sampled", "beams", "an encoder that reads the whole batch"])
def test_a_clips_text_is_the_same_in_any_batch(
    small: Path, catalog: Catalog, clip: Callable, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    options = {
        "sampled": ["generation.sample=true", "generation.temperature=2.0"],
        "beams": ["generation.beams=2"],
    }
    pipeline = built(small, catalog, *options.get(way, []))
    if way.startswith("an encoder"):
        encoder, config = pipeline.encoders["audio"], pipeline.plan.encoders["audio"].config
        expected = encoder.forward
        scaled = lambda batch: expected(replace(batch, values=batch.values / batch.values.std()))  # noqa: E731
        monkeypatch.setattr(encoder, "forward", scaled)
        monkeypatch.setattr(type(config), "reads_whole_batch", lambda _: True)
    samples = prepared(pipeline, clip)
    singles = [texts(pipeline, batch_of(samples, [index]))[0] for index in range(len(samples))]
    assert len(set(singles)) > 2

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, len(samples) - 1), min_size=1, max_size=6))
    def law(chosen: list[int]) -> None:
        assert texts(pipeline, batch_of(samples, chosen)) == [singles[index] for index in chosen]

    law()


def test_the_trained_model_says_the_same_in_any_batch(catalog: Catalog) -> None:
    pipeline = load(TINY, catalog)
    samples = [pipeline.prepare(NoiseClip(seed)) for seed in range(6)]
    samples[1]["face"] = samples[2]["audio"] = None
    singles = [texts(pipeline, batch_of(samples, [index]))[0] for index in range(6)]
    assert len(set(singles)) > 1
    for chosen in ([0, 1, 2, 3, 4, 5], [5, 1, 3], [2, 2, 0], [4, 1]):
        assert texts(pipeline, batch_of(samples, chosen)) == [singles[index] for index in chosen]


def test_a_seed_decides_what_is_sampled(small: Path, catalog: Catalog, clip: Callable) -> None:
    def sampled(seed: int, question: str | None = None) -> list[str]:
        pipeline = built(small, catalog, "generation.sample=true", "generation.temperature=2.0")
        pipeline.plan.config.__dict__["seed"] = seed
        torch.manual_seed(seed + 99)
        return [answer.text for answer in pipeline.generate(batch_of(prepared(pipeline, clip)), question)]

    first = sampled(3)
    assert first == sampled(3) and first != sampled(4) and len(set(first)) == len(first)


def test_a_clips_seed_is_its_own_and_not_its_places(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "generation.sample=true")
    samples, generate, calls = prepared(pipeline, clip), pipeline.llm.generate, []

    def watched(*arguments: Any, seeds: list[int]) -> Any:
        calls.append(seeds)
        return generate(*arguments, seeds=seeds)

    pipeline.llm.generate = watched
    pipeline.generate(collate(samples, ["the same words"] * 6))
    pipeline.generate(collate([samples[4], samples[0], samples[0]], ["the same words"] * 3))
    again = collate(samples[:1] * 3, ["the same words", "the same words", "others"])
    pipeline.generate(again, ["Why?", "Who?", "Why?"])
    assert len({*calls[0], *calls[2]}) == 9
    assert calls[1] == [calls[0][4], calls[0][0], calls[0][0]]


def test_a_clips_seed_knows_which_input_its_values_are_of(small: Path, catalog: Catalog, clip: Callable) -> None:
    batch = collate([built(small, catalog).prepare(clip(1))], [""])
    (media, *_) = (each for each in batch.media.values() if each is not None)
    assert len({_seed(0, replace(batch, media={name: media}), 0, "Why?") for name in ("face", "audio")}) == 2


def stop_in(texts: list[str]) -> str:
    """A stop text in the middle of one of `texts`."""
    pairs = (text[at : at + 2] for text in texts for at in range(2, len(text) - 3))
    return next(pair for pair in pairs if "\ufffd" not in pair and pair == pair.strip())


@pytest.mark.parametrize("location", ["generation.stop", "prompt.answer_end"])
def test_an_answer_is_cut_before_a_stop_text(small: Path, catalog: Catalog, clip: Callable, location: str) -> None:
    pipeline = built(small, catalog)
    batch = batch_of(prepared(pipeline, clip))
    free = [pipeline.llm.decode(row) for row in ids_of(pipeline, batch)]
    stop = stop_in(free)
    value = [stop] if location == "generation.stop" else stop
    config = pipeline.plan.config
    section, option = location.split(".")
    changed = config.model_copy(update={section: getattr(config, section).model_copy(update={option: value})})
    pipeline.plan.__dict__["config"] = changed
    answers = pipeline.generate(batch)
    assert [answer.text for answer in answers] == [cut_at_stop(text, [stop]) for text in free]
    assert min(answer.tokens for answer in answers) < 12 == max(answer.tokens for answer in answers)
    # A plugin that knows nothing of stop texts.
    full = pipeline.llm.generate
    pipeline.llm.generate = lambda embeds, mask, settings: full(embeds, mask, settings.model_copy(update={"stop": []}))
    assert texts(pipeline, batch) == [answer.text for answer in answers]


def ids_of(pipeline: Pipeline, batch: Batch) -> list[list[int]]:
    rows: list[list[int]] = []
    parameters = pipeline.llm.generate
    pipeline.llm.generate = lambda *given, **options: rows.extend(parameters(*given, **options)) or rows
    pipeline.generate(batch)
    del pipeline.llm.generate
    return rows


def test_a_plugin_without_seeds_is_seeded_through_torch(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "generation.sample=true", "generation.temperature=2.0")
    batch, expected = batch_of(prepared(pipeline, clip)), pipeline.llm.generate
    pipeline.llm.generate = lambda embeds, mask, settings: expected(embeds, mask, settings)
    first = texts(pipeline, batch)
    torch.rand(7)
    assert first == texts(pipeline, batch)


STREAMED: dict[str, list[str]] = {
    "greedy": [],
    "sampled": ["generation.sample=true", "generation.temperature=2.0"],
    "stop": ["generation.stop=['e', 'a', 'qq']"],
    "end": ["prompt.answer_end=t"],
}


@pytest.mark.parametrize("way", STREAMED)
def test_pieces_make_up_the_answers_of_generate(small: Path, catalog: Catalog, clip: Callable, way: str) -> None:
    pipeline = built(small, catalog, "generation.max_new_tokens=90", *STREAMED[way])
    batch = batch_of(prepared(pipeline, clip))
    answers, texts = pipeline.generate(batch), [""] * len(batch)
    last: dict[int, Any] = {}
    for piece in pipeline.generate_pieces(batch):
        assert piece.row not in last, "a clip goes on after its answer"
        texts[piece.row] += piece.text
        assert piece.text or piece.answer is not None
        if piece.answer is not None:
            last[piece.row] = piece.answer
    assert texts == [answer.text for answer in answers]
    assert [last[row] for row in range(len(batch))] == answers


def test_a_stop_text_is_never_shown_also_when_the_plugin_goes_on(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "generation.stop=['###']")
    batch = batch_of(prepared(pipeline, clip))
    written = ("sad ## not ### glad", "###", "sad #", "", "## #", "it 它")
    rows = [pipeline.llm.encode(text, special=False) for text in written]
    steps = [[row[at] if at < len(row) else None for row in rows] for at in range(max(map(len, rows)) + 1)]
    tokens: list[None] = []
    pipeline.llm.stream = lambda *_: (step for step in steps if tokens.append(None) is None)
    text = [[piece.text for piece in pipeline.generate_pieces(batch) if piece.row == row] for row in range(6)]
    assert ["".join(piece) for piece in text] == ["sad ## not", "", "sad #", "", "## #", "it 它"]
    assert all("###"[: len(piece[-1])] != piece[-1] for piece in text[:2] if piece[-1])
    assert len(tokens) == 6 * (len("sad ## not ###")), "what comes after the last stop text is not asked for"


def test_what_cannot_be_streamed_is_refused_at_once(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "generation.beams=2")
    with pytest.raises(ConfigError, match=r"generation\.beams"):
        pipeline.generate_pieces(batch_of(prepared(pipeline, clip)))
    pipeline = built(small, catalog)
    pipeline.llm.stream = None
    with pytest.raises(ConfigError, match="cannot stream"):
        pipeline.generate_pieces(batch_of(prepared(pipeline, clip)))
