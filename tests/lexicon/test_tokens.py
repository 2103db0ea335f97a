"""Words of the lexicon in running text: inflected, in phrases, in Chinese without blanks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.lexicon.tokens import LexiconTokenizer, lemma


@pytest.fixture(scope="module")
def finder() -> LexiconTokenizer:
    return LexiconTokenizer(["rather than"])


def named(finder: LexiconTokenizer, text: str) -> list[str]:
    return [token.label for token in finder.tokens(text) if token.label and not token.sign]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("happier", ["happy"]),
        ("She WORRIES", ["worried"]),
        ("angered", ["angry"]),
        ("his sorrows", ["sorrowful"]),
        ("at a loss", ["confused"]),
        ("at a shop", []),
        ("looks forward to it", ["expectant"]),
        ("surprising news", []),
        ("surprised by news", ["surprised"]),
        ("some kind of subtitle content", []),
        ("feels content", ["satisfied"]),
        ("doesn’t understand", ["confused"]),
        ("很高兴", ["happy"]),
        ("不高兴", ["unhappy"]),
        ("不满", ["dissatisfied"]),
        ("情感激动", ["excited"]),
        ("感激", ["grateful"]),
        ("he is 生气 and sad", ["angry", "sad"]),
        ("she's very kind", ["friendly"]),
        ("is sad, calm and kind", ["sad", "calm", "friendly"]),
        ("is the other kind", []),
        ("kind is", []),
    ],
)
def test_words_and_phrases(finder: LexiconTokenizer, text: str, labels: list[str]) -> None:
    assert named(finder, text) == labels


def test_signs_are_not_words(finder: LexiconTokenizer) -> None:
    (token,) = finder.tokens("smiles")
    assert token.label == "happy" and token.sign


def test_phrases_of_the_grammar_stay_together(finder: LexiconTokenizer) -> None:
    assert [token.text for token in finder.tokens("rather than anger")] == ["rather than", "anger"]


def test_an_endless_word_is_not_looked_up() -> None:
    assert lemma("a" * 100_000) == "a" * 100_000


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("'so it's' he", ["‘", "so", "it's", "'", "he"]),
        ("‘so it’s’ he", ["‘", "so", "it's", "'", "he"]),
        ("the boys' toys", ["the", "boys", "'", "toys"]),
        ("says:'so'", ["says", ":", "‘", "so", "'"]),
    ],
)
def test_an_apostrophe_is_no_quotation_mark(finder: LexiconTokenizer, text: str, tokens: list[str]) -> None:
    assert [token.text for token in finder.tokens(text)] == tokens


@given(st.text())
def test_nothing_but_blanks_is_lost(text: str) -> None:
    joined = "".join(token.text for token in LexiconTokenizer().tokens(text))
    assert len("".join(joined.split())) == len("".join(text.lower().split()))
