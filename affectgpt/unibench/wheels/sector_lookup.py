"""From the words of a wheel and groups of synonyms to the sector of any label.

A label is looked up in this order; the first place found counts:

1. among the wheel's words and sector names, as it is written;
2. among them by its family (annoyed, annoying -> annoyance);
3. among the synonyms, as it is written, then by its family: the first of `near`, then of the group's words, that the
   wheel has;
4. the same again for shorter forms of the label (very happy -> happy).

The name of a level-1 sector lies, at level 2, in the level-2 sector that lists it or has the same name, else in the
first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from affectgpt.unibench.wheels.lemmas import version, word_family
from affectgpt.unibench.wheels.reductions import LONGEST_LABEL, lookup_forms
from affectgpt.unibench.wheels.wheel_file import SynonymGroup, WheelEntry, WheelFile, read_wheels
from affectgpt.unibench.wheels.wheel_set import LEVELS, Wheel

SectorLookup = tuple[str, str]
"""Level-1 sector, level-2 sector."""
SHIPPED = Path(__file__).with_name("shipped")
CACHED_LABELS = 8192


class Synonyms:
    """Groups of words, found by a word as written, else by its family. The first group that holds a word counts."""

    def __init__(self, groups: Iterable[SynonymGroup]) -> None:
        self._exact: dict[str, SynonymGroup] = {}
        self._family: dict[str, SynonymGroup] = {}
        for group in groups:
            for word in group.words:
                self._exact.setdefault(word, group)
                self._family.setdefault(word_family(word), group)

    def group(self, word: str) -> Sequence[str]:
        """The words that may stand for `word`, nearest first; empty when there are none."""
        base = word_family(word)
        group = self._exact.get(word) or self._exact.get(base) or self._family.get(base)
        return (*group.near, *group.words) if group else ()


def build_wheel(entry: WheelEntry, synonyms: Synonyms) -> Wheel:
    """The wheel of a checked entry: sectors by words, families and synonyms."""
    exact = _exact(entry)
    family: dict[str, SectorLookup] = {}
    for word, sectors in exact.items():
        family.setdefault(word_family(word), sectors)

    def direct(form: str) -> SectorLookup | None:
        base = word_family(form)
        return exact.get(form) or exact.get(base) or family.get(base)

    @lru_cache(maxsize=CACHED_LABELS)
    def find_sectors(label: str) -> SectorLookup | None:
        for form in lookup_forms(label):
            sectors = direct(form) or next(filter(None, map(direct, synonyms.group(form))), None)
            if sectors is not None:
                return sectors
        return None

    tree = {
        level1: {level2: tuple(words) for level2, words in parts.items()} for level1, parts in entry.sectors.items()
    }
    return Wheel(entry.name, tree, _sector(find_sectors))


def _sector(find_sectors: Callable[[str], SectorLookup | None]) -> Callable[[str, int], str | None]:
    def sector(label: str, level: int) -> str | None:
        if level not in LEVELS:
            raise ValueError(f"a wheel has the levels {LEVELS}, not {level}")
        sectors = find_sectors(label) if len(label) <= LONGEST_LABEL else None
        return sectors[level - 1] if sectors else None

    return sector


def _exact(entry: WheelEntry) -> dict[str, SectorLookup]:
    """Every sector name and word with its place, in the order of the file, sector names before their words."""
    places: dict[str, SectorLookup] = {}
    for level1, parts in entry.sectors.items():
        named = [level2 for level2, words in parts.items() if level2 == level1 or level1 in words]
        places[level1] = (level1, named[0] if named else next(iter(parts)))
        for level2, words in parts.items():
            places[level2] = (level1, level2)
            for word in words:
                chosen = entry.ambiguous.get(word, level2)
                if chosen == level2:
                    places.setdefault(word, (level1, level2))
    return places


@lru_cache(maxsize=1)
def shipped_synonyms() -> tuple[SynonymGroup, ...]:
    """The groups of `shipped/synonyms.yaml`."""
    return tuple(read_wheels(SHIPPED / "synonyms.yaml").synonyms)


def fingerprint(files: Mapping[str, WheelFile]) -> str:
    """A hash of wheels and synonyms (file names, comments and layout left out) and of what maps words to families."""
    families = (SHIPPED / "families.yaml").read_bytes().replace(b"\r\n", b"\n")
    content = [files[name].model_dump(mode="json") for name in sorted(files)]
    text = json.dumps([version(), hashlib.sha256(families).hexdigest(), content], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
