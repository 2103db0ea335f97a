"""Forms of a word are looked up as one; words that only look alike are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.unibench.wheels.lemmas import LONGEST_WORD, word_family
from affectgpt.unibench.wheels.reductions import LONGEST_LABEL, MOST_FORMS, lookup_forms, normalize_spelling
from affectgpt.unibench.wheels.sector_lookup import shipped_synonyms
from affectgpt.unibench.wheels.shipped import shipped_wheels


@pytest.mark.parametrize(
    "family",
    [
        "sad sadness sadly sadder saddest",
        "annoy annoyed annoying annoyance annoys",
        "anger angry angrily angrier",
        "irritate irritated irritation irritating irritable",
        "joy joyful joyfully joyous joys",
        "fear fearful fearfully fears",
        "happy happiness happily happier",
        "worry worried worries worrying",
        "confuse confused confusion confusing",
        "anxious anxiety anxiously",
        "excite excited excitement excitedly",
        "disappoint disappointed disappointment",
        "frustrate frustrated frustration",
        "admire admiration admiring",
        "bore bored boredom boring",
        "helpless helplessness helplessly",
        "satisfied satisfaction satisfying",
        "curious curiosity curiously",
        "gloomy gloominess gloomily gloom",
        "amaze amazed amazement amazing",
        "unhappy unhappiness unhappily",
    ],
)
def test_a_family_has_one_root(family: str) -> None:
    assert len({word_family(word) for word in family.split()}) == 1, {
        word: word_family(word) for word in family.split()
    }


@pytest.mark.parametrize(
    ("first_word", "second_word"),
    [
        ("helpless", "helpful"),
        ("hopeless", "hopeful"),
        ("careful", "caring"),
        ("careless", "care"),
        ("happy", "unhappy"),
        ("satisfied", "dissatisfied"),
        ("grateful", "grate"),
        ("like", "likely"),
        ("awful", "awe"),
        ("content", "contempt"),
        ("wonderful", "wonder"),
        ("passive", "passion"),
        ("generous", "general"),
        ("fearless", "fear"),
    ],
)
def test_words_that_only_look_alike_stay_apart(first_word: str, second_word: str) -> None:
    assert word_family(first_word) != word_family(second_word)


def test_inflected_forms_of_listed_words_keep_the_sector() -> None:
    pairs = [
        ("sad", "sadly"),
        ("serene", "serenely"),
        ("vigilant", "vigilantly"),
        ("furious", "furiously"),
        ("lonely", "loneliness"),
        ("jealous", "jealously"),
        ("selfish", "selfishness"),
        ("bored", "boredom"),
        ("thrill", "thrills"),
        ("hope", "hoped"),
        ("relief", "reliefs"),
        ("envy", "envies"),
        ("hostile", "hostility"),
        ("discouraged", "discourage"),
    ]
    for wheel in shipped_wheels().wheels:
        for word, form in pairs:
            for level in (1, 2):
                assert wheel.sector(form, level) == wheel.sector(word, level), (wheel.name, word, form)


@given(st.text(max_size=300))
def test_any_text_has_a_root_and_forms(text: str) -> None:
    assert word_family(text) == word_family(text)
    forms = list(lookup_forms(text))
    assert len(forms) <= MOST_FORMS and all(forms) and len(set(forms)) == len(forms)
    assert not forms or forms[0] == normalize_spelling(text)
    assert len(text) <= LONGEST_LABEL or not forms


def test_the_root_of_a_root_is_itself() -> None:
    for group in shipped_synonyms():
        for word in group.words:
            assert " " in word or word_family(word_family(word)) == word_family(word), word


def test_long_words_stand_for_themselves() -> None:
    word = "sad" + "ness" * LONGEST_WORD
    assert word_family(word) == word


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("a bit sad", "sad"),
        ("slightly annoyed", "annoyed"),
        ("kind of happy", "happy"),
        ("full of joy", "joy"),
        ("有点生气", "生气"),
        ("非常开心的", "开心"),
        ("悲伤的情绪", "悲伤"),
        ("very lonely", "lonely"),
        ("self-blame", "self blame"),
        ("extremely angry", "angry"),
        ("visibly upset", "upset"),
        ("a little bit sad", "sad"),
        ("little bit sad", "sad"),
        ("being deeply moved", "moved"),
        ("friendly", "friendly"),
        ("positive emotions", "positive"),
    ],
)
def test_words_of_degree_are_dropped(label: str, word: str) -> None:
    assert word in list(lookup_forms(label))


@pytest.mark.parametrize(
    "label",
    [
        "not happy",
        "no longer sad",
        "不太高兴",
        "never angry",
        "without joy",
        "hardly surprised",
        "friendly",
        "chagrin",
        "rarely happy",
        "unlikely happy",
        "insufficiently happy",
        "formerly angry",
        "seemingly calm",
        "nearly happy",
        "little joy",
    ],
)
def test_a_denied_label_is_never_reduced_to_the_opposite(label: str) -> None:
    assert list(lookup_forms(label)) == [label]
