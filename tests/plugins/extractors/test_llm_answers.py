"""What counts as an answer of an LLM, and that everything else is an error."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.core.extraction import labels_problem, sentiment_problem
from affectgpt.plugins.extractors.llm_answers import LLMAnswer, read_emotions, read_sentiment

READ = {
    '["happy", "sad"]': ("happy", "sad"),
    "['happy', 'sad']": ("happy", "sad"),
    "[happy, sad]": ("happy", "sad"),
    "[happy, 'sad',]": ("happy", "sad"),
    ' [ "Happy" ,\n "SAD " ] ': ("happy", "sad"),
    '["happy", "Happy"]': ("happy",),
    "happy, sad": ("happy", "sad"),
    "Happy.": ("happy",),
    "happy，sad、angry": ("happy", "sad", "angry"),
    "Emotions: happy, slightly annoyed": ("happy", "slightly annoyed"),
    'The emotion words are: ["happy"]': ("happy",),
    'Here is the list: ["happy"].': ("happy",),
    '```json\n["happy"]\n```': ("happy",),
    "```\n['happy']\n```": ("happy",),
    '["self-conscious", "ill at ease", "don\'t care"]': ("self-conscious", "ill at ease", "don't care"),
    "['don\\'t care', \"it's\"]": ("don't care", "it's"),
    '["\\u9ad8\\u5174", "难过"]': ("高兴", "难过"),
    "高兴, 难过": ("高兴", "难过"),
    "[]": (),
    "[ ]": (),
    "None": (),
    "none.": (),
    "[None]": (),
    '["none"]': (),
    "Emotions: []": (),
    "none detected": (),
    "Answer: none found": (),
    "None clearly identifiable.": (),
    '["none found"]': (),
    '["none", "happy"]': ("happy",),
    "sad, none detected": ("sad",),
    '["sorry", "good", "great joy", "sure"]': ("sorry", "good", "great joy", "sure"),
    '["mixed emotions", "not happy", "没有安全感"]': ("mixed emotions", "not happy", "没有安全感"),
    "无奈": ("无奈",),
}
REFUSED = [
    "",
    "  ",
    "I cannot answer that.",
    "I cannot",
    "I'm sorry, but no",
    "I can't, sorry",
    "Sorry, I can't help with it",
    "No emotions",
    "not specified",
    "unclear",
    "unable, sorry",
    "N/A",
    "nothing",
    "happy and sad",
    "The person is happy",
    "She seems to feel happy, because of the letter",
    "happy\nsad",
    "1. happy\n2. sad",
    "- happy",
    '["happy", "sad"',
    "['happy', 'sad",
    "happy]",
    '["happy"] because she smiles',
    '["happy"]["sad"]',
    '[["happy"]]',
    '["happy", 3]',
    "[1, 2]",
    '{"emotions": ["happy"]}',
    '["happy" "sad"]',
    "happy,,sad",
    "[happy,,sad]",
    '[""]',
    '["she is very happy about it"]',
    f'["{"a" * 41}"]',
    '["happy!"]',
    '["<b>happy</b>"]',
    '["happy\\n"]x',
    "[" * 3000,
    "[" * 3000 + "]" * 3000,
    '"happy',
    "I cannot do that: happy",
    "Note: happy because: sad",
    "我无法回答这个问题",
    '```json\n["happy"]',
    "null, happy\x00",
    "True",
    "50%",
    "😀",
    "[😀]",
    "undefined",
    "error",
    "Error message",
    "Sorry",
    "Okay",
    "Okay happy",
    "Sure, happy",
    "好的",
    "没有",
    "没有情绪",
    "无",
    "none of these",
    "happy, none of them",
    '["undefined"]',
    '["error", "happy"]',
    '["没有"]',
    '["unknown"]',
    '["no emotion detected"]',
    '["no clear emotions"]',
    '["nothing"]',
    '["none of these"]',
    '["not specified"]',
    '["emotion", "happy"]',
    "抱歉，开心",
    "unknown",
]


@pytest.mark.parametrize("text", READ)
def test_labels_are_read(text: str) -> None:
    result = read_emotions(LLMAnswer(text))
    assert (result.labels, result.error) == (READ[text], "")


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:30]))
def test_what_is_no_list_of_labels_is_an_error_with_its_head(text: str) -> None:
    result = read_emotions(LLMAnswer(text))
    assert result.error and not result.labels
    assert repr(text.strip()[:20])[1:-1] in result.error and len(result.error) < 600


def test_a_cut_answer_is_an_error_even_where_it_looks_whole() -> None:
    for text in ("happy, sad", '["happy"]', "[]", ""):
        assert "cut" in read_emotions(LLMAnswer(text, cut=True)).error
    assert "cut" in read_sentiment(LLMAnswer("positive", cut=True)).error


@pytest.mark.parametrize("text", ["positive", "Positive.", " POSITIVE\n", '"positive"', "**positive**", "['positive']"])
def test_a_sentiment_is_read(text: str) -> None:
    assert read_sentiment(LLMAnswer(text)).labels == ("positive",)


def test_a_refused_question_has_no_labels_and_no_sentiment() -> None:
    for read in (read_emotions, read_sentiment):
        result = read(LLMAnswer("", refused="too long"))
        assert not result.labels and result.error == "the server refuses the question: too long"


@given(st.text())
def test_whatever_is_answered_keeps_the_form(text: str) -> None:
    emotions, sentiment = read_emotions(LLMAnswer(text)), read_sentiment(LLMAnswer(text))
    assert not labels_problem(emotions) and not sentiment_problem(sentiment)
    assert emotions.labels or emotions.error or re.sub(r"\W", "", text).lower() in ("", "none", "null")


@given(st.lists(st.from_regex(r"q[a-z]{2,8}(?:[ -][a-z]{2,8}){0,2}", fullmatch=True)))
def test_a_written_list_is_read_back(labels: list[str]) -> None:
    expected = tuple(dict.fromkeys(labels))
    for text in (json.dumps(labels), repr(labels), "Labels: " + str(labels)):
        assert read_emotions(LLMAnswer(text)).labels == expected
