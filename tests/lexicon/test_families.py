"""The shipped emotion words: consistent, broad in both languages, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from affectgpt.lexicon.families import _table, lexicon, simplified
from affectgpt.lexicon.tokens import LexiconTokenizer
from affectgpt.plugins.extractors.lexicon_grammar import GRAMMAR
from affectgpt.plugins.extractors.lexicon_negators import ASSERTION


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


FORMS = {group[0]: group[1:] for group in _table("traditional.yaml")["forms"].split()}
CHINESE = sorted(
    word
    for word in (*lexicon().words, *lexicon().signs, *lexicon().traps, *GRAMMAR, *ASSERTION)
    if not word.isascii() and word.isalpha()
)


def traditional(text: str, choice: int = 0) -> str:
    """`text` in traditional characters, of each the form number `choice` or the last one."""
    return "".join(FORMS[letter][min(choice, len(FORMS[letter]) - 1)] if letter in FORMS else letter for letter in text)


def in_big5(letter: str) -> bool:
    try:
        letter.encode("big5")
    except UnicodeEncodeError:
        return False
    return True


def test_every_chinese_word_is_read_in_traditional_characters_too() -> None:
    finder = LexiconTokenizer(GRAMMAR | ASSERTION)
    assert len(CHINESE) > 1000
    for word in CHINESE:
        expected = finder.tokens(word)
        for choice in range(max(map(len, FORMS.values()))):
            assert finder.tokens(traditional(word, choice)) == expected, word


def test_the_table_of_traditional_characters_lacks_none() -> None:
    # Big5 is an encoding of traditional Chinese: what it lacks is a simplified form, but for a few rare characters.
    lacking = {letter for word in CHINESE for letter in word if not in_big5(letter)} - set(FORMS)
    assert lacking == set()
    for letter, forms in FORMS.items():
        assert len(letter) == 1 and letter not in forms and simplified(forms) == letter * len(forms)
    assert not set("".join(FORMS.values())) & set("".join(CHINESE)), "a simplified word holds a traditional character"


def test_other_text_is_not_simplified() -> None:
    for text in ("", "Happy, naïve", "他很高兴", "かなしい", "悲しい 😀\x00"):
        assert simplified(text) == text
