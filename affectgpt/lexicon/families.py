"""The families of emotion words: what a word belongs to, what it is worth, read once from the package's own tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

import yaml

Valence = Literal["positive", "negative", "neutral", "either"]
FamilyKind = Literal["emotion", "attitude", "tone", "state"]
_CHOICE = re.compile(r"\(([^()]*)\)")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Family:
    """Near-synonyms that leave as one label.

    - `label`: its usual English adjective, in lower case.
    - `valence`: "neutral" is neither good nor bad (surprise, calm); "either" is that of what it stands with, as
      excitement is.
    - `strength`: 1 mild, 2 plain, 3 strong.
    - `kind`: an emotion, or an attitude towards others, the tone of a voice or scene, a state of body or mind.
    - `opposite`: the label that a plain "not <label>" says, "" when it says none.
    - `english`, `chinese`: its words and phrases, the label among the English ones.
    - `after_be`: English words that are of the family only behind be, seem, look or feel.
    """

    label: str
    valence: Valence
    strength: int
    kind: FamilyKind
    opposite: str
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    after_be: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """All that ships: words to their families, signs to the families they point at, phrases that only look alike.

    A sign is a behaviour (a smile, tears); it is weaker evidence than a word. `traps` are words and phrases that hold
    an emotion word and mean none ("subtitle content", 情感 in 情感激动).
    """

    families: Mapping[str, Family]
    words: Mapping[str, str]
    signs: Mapping[str, str]
    traps: frozenset[str]


def _split(text: str) -> tuple[str, ...]:
    return tuple(phrase for word in text.split(",") if word.strip() for phrase in _spelt_out(word))


def _spelt_out(phrase: str) -> list[str]:
    """ "heavy (heart|mood)" as its two phrases; an empty choice leaves nothing."""
    choice = _CHOICE.search(phrase)
    if choice is None:
        return [" ".join(phrase.split())]
    head, tail = phrase[: choice.start()], phrase[choice.end() :]
    return [spelt for word in choice[1].split("|") for spelt in _spelt_out(head + word + tail)]


def _table(name: str) -> Any:
    text = resources.files("affectgpt.lexicon").joinpath(name).read_text(encoding="utf-8")
    return yaml.load(text, Loader=_LOADER)


@lru_cache(maxsize=1)
def _simplified_forms() -> dict[int, str]:
    groups = _table("traditional.yaml")["forms"].split()
    return {ord(traditional): group[0] for group in groups for traditional in group[1:]}


def simplified(text: str) -> str:
    """`text` with the traditional Chinese characters of the tables here as simplified ones, one for one."""
    return text if text.isascii() else text.translate(_simplified_forms())


def _family(label: str, row: Mapping[str, Any]) -> Family:
    return Family(
        label=label,
        valence=row["valence"],
        strength=row["strength"],
        kind=row.get("kind", "emotion"),
        opposite=row.get("opposite", ""),
        english=(label, *_split(row["en"])),
        chinese=_split(row["zh"]),
        after_be=_split(row.get("after_be", "")),
    )


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The shipped tables, read at the first call and kept."""
    families = {label: _family(label, row) for label, row in _table("emotions.yaml").items()}
    signs = _table("signs.yaml")
    return Lexicon(
        families=families,
        words={word: f.label for f in families.values() for word in (*f.english, *f.chinese)},
        signs={word: label for label, rows in signs.items() for row in rows.values() for word in _split(row)},
        traps=frozenset(word for row in _table("traps.yaml").values() for word in _split(row)),
    )
