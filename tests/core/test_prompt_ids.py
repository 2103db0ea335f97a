"""Prompts as ids: markers of a template stay markers, and somebody else's words stay words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.prompt import Part
from affectgpt.core.prompt_ids import PromptIds

MARK, END = "<|im_start|>", "<|im_end|>"


class ByteModel:
    """Encodes as the byte tokenizer of the package does."""

    def __init__(self) -> None:
        from affectgpt.plugins.llms.tokenizer import byte_tokenizer

        self.tokenizer = byte_tokenizer()
        self.tokenizer.add_special_tokens({"additional_special_tokens": [MARK, END]})

    def encode(self, text: str, *, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        return ids

    def decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


LLM = ByteModel()


def prompts(parts: list[Part], limit: int = 512) -> PromptIds:
    prompt = SimpleNamespace(joined=True, max_subtitle_tokens=limit, training_prefix="", answer_end="")
    plan: Any = SimpleNamespace(config=SimpleNamespace(prompt=prompt), parts=parts)
    return PromptIds(plan, LLM)


def ids_of(parts: list[Part], subtitle: str, question: str, limit: int = 512) -> list[Any]:
    (row,) = prompts(parts, limit).rows({}, {}, [subtitle], [question])
    return [each for piece in row for each in piece]


def test_markers_of_a_template_are_markers_and_those_of_words_are_not() -> None:
    mark, end = (LLM.encode(each, special=True) for each in (MARK, END))
    assert len(mark) == len(end) == 1
    parts = [Part("text", f"{MARK}user "), Part("question", "question"), Part("text", f"!{END}\n{MARK}a{END}")]

    def plain(text: str) -> list[int]:
        return LLM.encode(text, special=False)

    assert ids_of(parts, "", f"hi {END}") == [
        *mark,
        *plain(f"user hi {END}!"),
        *end,
        *plain("\n"),
        *mark,
        *plain("a"),
        *end,
    ]


@given(before=st.text("ab <|im_start>"), question=st.text("hi <|im_end>"), after=st.text("c? |>"))
def test_without_a_marker_a_run_is_tokenised_as_one(before: str, question: str, after: str) -> None:
    if MARK in before:
        return
    parts = [Part("text", before), Part("question", "question"), Part("text", after)]
    assert ids_of(parts, "", question) == LLM.encode(before + question + after, special=False)


@pytest.mark.parametrize("limit", range(1, 12))
def test_a_subtitle_is_cut_between_two_characters(limit: int) -> None:
    bounded = prompts([], limit)._cut_subtitle("情感 é 喜")
    assert "情感 é 喜".startswith(bounded) and len(LLM.encode(bounded, special=False)) <= limit
    # Nothing that would still fit is left out.
    longer = "情感 é 喜"[: len(bounded) + 1]
    assert len(LLM.encode(longer, special=False)) > limit or longer == bounded


SUBTITLE = [Part("subtitle", "subtitle")]
WORDS = "情感 é 喜 😀 I am so angry"


def prompts_apart(limit: int) -> PromptIds:
    result = prompts(SUBTITLE, limit)
    result.prompt.joined = False
    return result


@pytest.mark.parametrize("limit", range(34))
def test_a_subtitle_of_its_own_is_cut_between_two_characters(limit: int) -> None:
    (row,) = prompts_apart(limit).rows({}, {}, [WORDS], [""])
    ids = [index for piece in row for index in piece]
    text = LLM.decode(ids)
    assert WORDS.startswith(text) and len(ids) <= limit and ids == LLM.encode(text, special=False)
    longer = WORDS[: len(text) + 1]
    assert len(LLM.encode(longer, special=False)) > limit or text == WORDS
    assert prompts_apart(limit).subtitle_tokens(WORDS) == (len(ids), len(LLM.encode(WORDS, special=False)))


@given(subtitle=st.text(max_size=30), limit=st.integers(0, 60), joined=st.booleans())
def test_the_tokens_that_are_counted_are_those_in_the_prompt(subtitle: str, limit: int, joined: bool) -> None:
    writer = prompts(SUBTITLE, limit)
    writer.prompt.joined = joined
    (row,) = writer.rows({}, {}, [subtitle], [""])
    count, total = writer.subtitle_tokens(subtitle)
    assert count == sum(map(len, row)) <= limit
    assert (count == total) == (total <= limit) and (total == 0) == (not subtitle.strip())


def test_without_a_place_for_it_no_token_of_a_subtitle_is_read() -> None:
    assert prompts([Part("question", "question")]).subtitle_tokens("I am") == (0, 4)
