"""The shipped emotion words: consistent, broad in both languages, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from affectgpt.lexicon.families import lexicon


def test_every_word_belongs_to_one_family() -> None:
    owners: dict[str, str] = {}
    for family in lexicon().families.values():
        for word in (*family.english, *family.chinese):
            assert owners.setdefault(word, family.label) == family.label, word


def test_every_label_is_a_plain_english_word_of_its_own_family() -> None:
    table = lexicon()
    for label, family in table.families.items():
        assert table.words[label] == label == family.label
        assert label.replace("-", "").isascii() and label.replace("-", "").isalpha() and label == label.lower()


def test_fields_hold_known_values() -> None:
    table = lexicon()
    for family in table.families.values():
        assert family.valence in {"positive", "negative", "neutral", "either"}
        assert family.strength in {1, 2, 3}
        assert family.kind in {"emotion", "attitude", "tone", "state"}
        assert not family.opposite or family.opposite in table.families
        assert family.chinese
    assert set(table.signs.values()) <= set(table.families)
    assert not set(table.signs) & set(table.words)
    assert not table.traps & set(table.words)


def test_opposites_are_of_the_other_valence() -> None:
    table = lexicon()
    for family in table.families.values():
        if family.opposite and family.valence != "neutral":
            assert table.families[family.opposite].valence != family.valence, family.label


def test_choices_are_spelt_out() -> None:
    words = lexicon().words
    assert words["heavy heart"] == words["heavy mood"] == words["mood feels so heavy"] == "heavy-hearted"
    assert words["情绪稳定"] == words["情绪很稳定"] == "calm"
    assert not [word for word in (*words, *lexicon().signs, *lexicon().traps) if set(word) & set("()|") or "  " in word]


def test_words_that_need_a_form_of_be_are_no_words_alone() -> None:
    table = lexicon()
    needy = [word for family in table.families.values() for word in family.after_be]
    assert len(set(needy)) == len(needy) > 2 and not set(needy) & set(table.words)


@pytest.mark.parametrize(
    "words", [("worried", "anxious", "nervous"), ("sad", "aggrieved", "disappointed"), ("angry", "dissatisfied")]
)
def test_near_families_stay_apart(words: tuple[str, ...]) -> None:
    assert len({lexicon().words[word] for word in words}) == len(words)


def test_it_is_read_once_and_only_when_asked() -> None:
    assert lexicon() is lexicon()
    code = (
        "import sys, affectgpt.lexicon.tokens, affectgpt.plugins.extractors.lexicon;"
        "from affectgpt.lexicon.families import lexicon;"
        "assert not lexicon.cache_info().currsize and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
