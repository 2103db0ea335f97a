"""English words -> the word that stands for their family: annoyed, annoying, annoyance -> annoy.

Inflection is undone by simplemma's dictionary. Derivation (sadness, sadly -> sad) is undone by suffix rules that may
only end at a word of that dictionary, and by the families of `shipped/families.yaml` where no rule leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import metadata, resources

import yaml

RULES_VERSION = 2
"""To be raised with every change of a rule that can change a sector: it enters the fingerprint of the wheels."""

LONGEST_WORD = 40

# suffix -> what may stand in its place; tried in this order, the first that gives a known word counts.
_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("fulness", ("ful", "")),
    ("lessness", ("less",)),
    ("iness", ("y",)),
    ("ness", ("", "e")),
    ("ically", ("ic",)),
    ("fully", ("ful",)),
    ("iful", ("y",)),
    ("ful", ("",)),
    ("ily", ("y",)),
    ("ably", ("able",)),
    ("ly", ("", "le", "e")),
    ("ication", ("y",)),
    ("ation", ("ate", "e", "")),
    ("ition", ("e", "it")),
    ("sion", ("se", "d", "de", "t")),
    ("ion", ("e", "")),
    ("ment", ("", "e")),
    ("iance", ("y",)),
    ("ance", ("", "e")),
    ("ence", ("", "e")),
    ("iousness", ("ious",)),
    ("ious", ("y", "")),
    ("ous", ("", "e")),
    ("dom", ("", "e")),
    ("itable", ("it",)),
    ("able", ("ate", "", "e")),
    ("ative", ("ate", "e")),
    ("ive", ("e", "")),
    ("some", ("",)),
    ("edness", ("e", "")),
    ("ies", ("y",)),
    ("ed", ("e", "")),
    ("ing", ("e", "")),
)
_SHORTEST_ROOT = 3
_MOST_STEPS = 6


def version() -> str:
    """What the answers of [word_family][] depend on besides the data files."""
    return f"simplemma {metadata.version('simplemma')}, rules {RULES_VERSION}"


@lru_cache(maxsize=16384)
def word_family(phrase: str) -> str:
    """The family of a word, or the inflections undone word by word of a phrase ("looks forward" -> "look forward").

    Words that are not ASCII letters (Chinese), or longer than `LONGEST_WORD`, stand for themselves.
    """
    family = _families().get(phrase)
    if family is not None:
        return family
    words = phrase.split(" ")
    return (
        _derive_family(phrase) if len(words) == 1 else " ".join(_families().get(word) or _lemma(word) for word in words)
    )


def _derive_family(word: str) -> str:
    chain = {word}
    for _ in range(_MOST_STEPS):
        step = _families().get(word) or _shorter(word)
        if step in chain:
            return step
        chain.add(step)
        word = step
    return word


def _shorter(word: str) -> str:
    lemma = _lemma(word)
    return lemma if lemma != word else _without_suffix(word)


def _without_suffix(word: str) -> str:
    for suffix, endings in _RULES:
        if not word.endswith(suffix):
            continue
        stem = word[: -len(suffix)]
        for ending in endings:
            base = stem + ending
            if len(base) >= _SHORTEST_ROOT and (base in _families() or _in_dictionary(base)):
                return base
    return word


def _lemma(word: str) -> str:
    from simplemma import lemmatize  # its dictionary takes 0.1 s to read

    return lemmatize(word, lang="en") if _english(word) else word


def _in_dictionary(word: str) -> bool:
    from simplemma import is_known

    return _english(word) and is_known(word, lang="en")


def _english(word: str) -> bool:
    return word.isascii() and word.isalpha() and len(word) <= LONGEST_WORD


@cache
def _families() -> Mapping[str, str]:
    text = resources.files("affectgpt.unibench.wheels").joinpath("shipped/families.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    table = {word: word for word in data["apart"]}
    for family in data["families"]:
        for word in family:
            table.setdefault(word, family[0])
    return table
