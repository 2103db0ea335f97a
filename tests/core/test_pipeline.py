"""From prepared clips to loss and text: padding, absent modalities, prompts, influence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from affectgpt.core.assembly import assemble
from affectgpt.core.batch import Batch, collate, pad
from affectgpt.core.influence import influence
from affectgpt.core.load_config import read_config
from affectgpt.core.pipeline import Pipeline
from affectgpt.core.plan import make_plan
from affectgpt.registry.catalog import Catalog
from affectgpt.registry.errors import ConfigError, MediaError


def built(path: Path, catalog: Catalog, *overrides: str) -> Pipeline:
    config = read_config(path, catalog, overrides)
    return assemble(make_plan(config))


@pytest.fixture
def pipeline(small: Path, catalog: Catalog) -> Pipeline:
    return built(small, catalog)


def batch_of(pipeline: Pipeline, clips: list, subtitles: list[str] | None = None) -> Batch:
    return collate([pipeline.prepare(each) for each in clips], subtitles or ["hello there"] * len(clips))


def prompt_lengths(pipeline: Pipeline, batch: Batch) -> list[int]:
    return [len(row) for row in pipeline.prompts(pipeline.fuse(pipeline.encode(batch)), batch.subtitles)]


def test_the_same_seed_builds_the_same_weights(small: Path, catalog: Catalog) -> None:
    first, second, third = built(small, catalog), built(small, catalog), built(small, catalog, "seed=4")
    states = [pipeline.state_dict() for pipeline in (first, second, third)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_a_question_is_measured_in_the_llms_tokens(pipeline: Pipeline, clip: Callable) -> None:
    # A byte is a token here, so what remains of the context is what a question may have in letters.
    budget = pipeline.plan.budget
    text = budget.text - len(pipeline.plan.config.prompt.question)
    room = budget.context - budget.nodes - text - budget.subtitle - budget.answer
    pipeline.check_question("q" * room)
    with pytest.raises(ConfigError, match=f"at most {room} tokens"):
        pipeline.check_question("q" * (room + 1))
    longest = batch_of(pipeline, [clip(1, seconds=9)], ["words " * 99])
    prompt = pipeline.prompts(pipeline.fuse(pipeline.encode(longest)), longest.subtitles, "q" * room)[0]
    assert len(prompt) + budget.answer <= budget.context


def test_text_is_the_same_alone_and_in_any_batch(pipeline: Pipeline, clip: Callable) -> None:
    clips = [clip(1), clip(2, seconds=3.0), clip(3, sound=False), clip(4, picture=False), clip(5)]
    subtitles = ["one", "a much longer subtitle than the others have", "", "four", "  "]
    together = [answer.text for answer in pipeline.generate(batch_of(pipeline, clips, subtitles))]
    singles = [
        pipeline.generate(batch_of(pipeline, [clip_media], [subtitle]))[0].text
        for clip_media, subtitle in zip(clips, subtitles, strict=True)
    ]
    assert together == singles
    assert len(set(together)) > 1


def test_the_answers_likelihood_is_the_same_alone_and_in_any_batch(pipeline: Pipeline, clip: Callable) -> None:
    clips, answers = [clip(1), clip(2, sound=False), clip(3, picture=False)], ["yes", "a longer answer", "no"]
    together = pipeline.log_likelihood(batch_of(pipeline, clips), answers)
    singles = torch.cat(
        [
            pipeline.log_likelihood(batch_of(pipeline, [clip_media]), [answer])
            for clip_media, answer in zip(clips, answers, strict=True)
        ]
    )
    torch.testing.assert_close(together, singles, rtol=1e-4, atol=1e-3)


def test_the_loss_is_the_mean_negative_log_likelihood(pipeline: Pipeline, clip: Callable) -> None:
    batch, answers = batch_of(pipeline, [clip(1), clip(2)]), ["ab", "abcd"]
    tokens = sum(len(pipeline.llm.encode(answer, special=False)) + 1 for answer in answers)
    expected = -pipeline.log_likelihood(batch, answers).sum() / tokens
    torch.testing.assert_close(pipeline(batch, answers), expected, rtol=1e-4, atol=1e-4)


def test_what_a_clip_lacks_is_left_out_of_its_prompt(pipeline: Pipeline, clip: Callable) -> None:
    full, silent, wordless, nothing = (
        prompt_lengths(pipeline, batch_of(pipeline, [part], [subtitle]))[0]
        for part, subtitle in [
            (clip(1), "hi"),
            (clip(1, sound=False), "hi"),
            (clip(1), ""),
            (clip(1, sound=False, picture=False), ""),
        ]
    )
    assert silent < full and wordless < full and nothing < min(silent, wordless)


def test_a_clip_with_nothing_at_all_is_still_answered(pipeline: Pipeline, clip: Callable) -> None:
    batch = batch_of(pipeline, [clip(1, sound=False, picture=False)], [""])
    (answer,) = pipeline.generate(batch)
    assert answer.attribution["multi"] == {"face": 0.0, "audio": 0.0}
    assert torch.isfinite(pipeline(batch, ["x"]))


@pytest.mark.parametrize("subtitle", ["", "words"])
def test_a_clip_with_nothing_at_all_is_refused(pipeline: Pipeline, clip: Callable, subtitle: str) -> None:
    empty = clip(1, sound=False, picture=False)
    empty.subtitle = subtitle
    with pytest.raises(MediaError, match="nothing in this clip"):
        pipeline.prepare_or_raise(empty)


def test_attribution_sums_to_one_over_what_is_there(pipeline: Pipeline, clip: Callable) -> None:
    both, silent = pipeline.generate(batch_of(pipeline, [clip(1), clip(2, sound=False)]))
    assert sum(both.attribution["multi"].values()) == pytest.approx(1, abs=1e-5)
    assert silent.attribution["multi"] == {"face": pytest.approx(1, abs=1e-5), "audio": 0.0}


def test_markers_in_a_subtitle_are_plain_text_and_its_length_is_bounded(pipeline: Pipeline, clip: Callable) -> None:
    short, marked, long = prompt_lengths(
        pipeline, batch_of(pipeline, [clip(1)] * 3, ["x", "<|im_end|>", "word {multi} " * 400])
    )
    assert marked - short == len("<|im_end|>") - 1
    assert long - short == 40 - 1


def test_a_question_can_be_asked_instead_of_the_configs(pipeline: Pipeline, clip: Callable) -> None:
    batch = batch_of(pipeline, [clip(1)])
    assert not torch.equal(pipeline.log_likelihood(batch, ["x"]), pipeline.log_likelihood(batch, ["x"], "Why?"))


def test_gradients_reach_all_that_is_trained_and_nothing_frozen(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "encoders.face.frozen=true").train()
    pipeline(batch_of(pipeline, [clip(1), clip(2)]), ["ab", "cd"]).backward()
    frozen = {name for name, parameter in pipeline.named_parameters() if not parameter.requires_grad}
    assert frozen and all(name.startswith("encoders.face.") for name in frozen)
    assert not pipeline.encoders["face"].training
    for name, parameter in pipeline.named_parameters():
        assert (parameter.grad is None) == (name in frozen), name
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), name


def test_influence_is_a_share_and_absent_modalities_have_none(pipeline: Pipeline, clip: Callable) -> None:
    clips = [clip(1), clip(2, sound=False)]
    full, silent = influence(pipeline, batch_of(pipeline, clips, ["hi", ""]), ["an answer", "another"])
    assert set(full) == {"audio", "face", "subtitle"}
    assert sum(full.values()) == pytest.approx(1) or sum(full.values()) == 0
    assert silent["audio"] is None and silent["subtitle"] is None and silent["face"] in (0.0, pytest.approx(1))


def test_influence_falls_on_the_modality_that_decides(pipeline: Pipeline, clip: Callable) -> None:
    # With the projector of the fused token silenced, only the sound's own token can move the answer.
    batch = batch_of(pipeline, [clip(1)], [""])
    with torch.no_grad():
        pipeline.projectors["multi"].weight.zero_()
        pipeline.projectors["audio_tokens"].weight.mul_(50)
    answer = max(
        ("yes", "no", "maybe"),
        key=lambda text: float(
            pipeline.log_likelihood(batch, [text]) - pipeline.log_likelihood(batch.without(["audio"]), [text])
        ),
    )
    (shares,) = influence(pipeline, batch, [answer])
    assert shares["audio"] == pytest.approx(1.0, abs=1e-3) and shares["face"] == pytest.approx(0.0, abs=1e-3)


def test_sampling_is_repeatable_and_differs_from_greedy(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(small, catalog, "generation.sample=true", "generation.temperature=2.0")
    batch = batch_of(pipeline, [clip(1)])
    first, again = pipeline.generate(batch)[0].text, pipeline.generate(batch)[0].text
    greedy = built(small, catalog)
    assert first == again != greedy.generate(batch)[0].text


@pytest.mark.parametrize("override", ["generation.beams=3", "generation.repetition_penalty=1.9"])
def test_generation_settings_change_the_text(small: Path, catalog: Catalog, clip: Callable, override: str) -> None:
    plain, changed = built(small, catalog), built(small, catalog, override)
    batch = batch_of(plain, [clip(1), clip(2), clip(3)])
    texts = [[answer.text for answer in each.generate(batch)] for each in (plain, changed)]
    assert texts[0] != texts[1]


def test_padding_goes_to_the_asked_side() -> None:
    rows = [torch.ones(2, 3), torch.full((1, 3), 2.0)]
    padded, left_mask = pad(rows, "left")
    right, right_mask = pad(rows, "right")
    assert left_mask.tolist() == [[True, True], [False, True]] and right_mask.tolist() == [[True, True], [True, False]]
    assert padded[1, 1, 0] == 2 and padded[1, 0, 0] == 0 and right[1, 0, 0] == 2


def test_inline_templates_are_used_as_written(small: Path, catalog: Catalog, clip: Callable) -> None:
    pipeline = built(
        small, catalog, "prompt.template='Q {question} S {subtitle} M {multi}{audio_tokens} A'", "prompt.order=[]"
    )
    tokens = len(pipeline.llm.encode("Q  S  M  A" + pipeline.plan.config.prompt.question, special=True))
    assert prompt_lengths(pipeline, batch_of(pipeline, [clip(1)], ["abc"])) == [tokens + 3 + 2]
