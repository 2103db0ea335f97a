"""The YAML file that holds wheels, the shipped ones and a reader's own: its schema, and how it is read.

wheels:
  - name: small
    citation: where it was published          # optional
    sectors:
      happy:                                  # level-1 sector
        calm: [calm, relaxed, 平静]            # level-2 sector: its words
    ambiguous: {relaxed: calm}                # optional: where a word that stands in several sectors belongs
synonyms:                                     # optional
  - {words: [at ease, untroubled], near: [calm]}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from affectgpt.core.yaml_source import Source, YamlPath, read_mapping
from affectgpt.registry.errors import ConfigError, DataError, Problem
from affectgpt.unibench.wheels.reductions import LONGEST_LABEL, normalize_spelling

MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
MOST_PROBLEMS = 20


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed")
    if not normalize_spelling(text):
        raise ValueError("it is empty")
    return text


def _compared(text: str) -> str:
    return normalize_spelling(_printable(text))


def _distinct_keys(value: Any) -> Any:
    """Keys that differ in case or hyphens only would silently replace one another."""
    if isinstance(value, dict):
        keys: set[str] = set()
        for key in value:
            if normalize_spelling(str(key)) in keys:
                raise ValueError(f"{key!r} is given twice, in two spellings")
            keys.add(normalize_spelling(str(key)))
    return value


Text = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
Word = Annotated[str, Field(max_length=LONGEST_LABEL), AfterValidator(_compared)]
Words = Annotated[dict[Word, list[Word]], BeforeValidator(_distinct_keys)]
Sectors = Annotated[dict[Word, Words], BeforeValidator(_distinct_keys)]
Choices = Annotated[dict[Word, Word], BeforeValidator(_distinct_keys)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WheelEntry(_Strict):
    """One wheel: level-1 sector -> level-2 sector -> words. `ambiguous`: word -> the level-2 sector it belongs to."""

    name: Word
    citation: Text | None = None
    sectors: Sectors
    ambiguous: Choices = {}


class SynonymGroup(_Strict):
    """Words of one meaning. One that a wheel lacks stands for the first of `near`, then of `words`, that is there."""

    words: list[Word] = Field(min_length=1)
    near: list[Word] = []


class WheelFile(_Strict):
    """All of one file. `shipped_synonyms: false` leaves the package's own synonyms out."""

    name: Word | None = None
    wheels: list[WheelEntry] = []
    synonyms: list[SynonymGroup] = []
    shipped_synonyms: bool = True


def read_wheels(path: Path) -> WheelFile:
    """Read and check a file of wheels. Raises DataError holding the problems found, each with its line."""
    try:
        source = read_mapping(path, what="wheel", keys="wheels, synonyms", max_bytes=MAX_BYTES, max_nodes=MAX_VALUES)
    except ConfigError as error:
        raise DataError.from_problems(error.problems) from error
    try:
        file = WheelFile.model_validate(source.data)
    except ValidationError as error:
        raise DataError.from_problems(
            [_schema_problem(source, each) for each in error.errors()[:MOST_PROBLEMS]]
        ) from error
    problems = [*_name_problems(file, source), *_repeated_synonyms(file, source)]
    for index, wheel in enumerate(file.wheels):
        problems += _wheel_problems(wheel, source, ("wheels", index))
    if problems:
        raise DataError.from_problems(problems[:MOST_PROBLEMS])
    return file


def _schema_problem(source: Source, error: object) -> Problem:
    assert isinstance(error, dict)
    path: YamlPath = tuple(part for part in error["loc"] if part != "[key]")
    value = error["input"]
    hint = "put it in quotes" if isinstance(value, bool | int | float) and error["type"] == "string_type" else ""
    value_text = "" if isinstance(value, dict | list) else repr(value)[:80]
    return Problem(error["msg"].removeprefix("Value error, "), source.location(path), value_text, hint=hint)


def _name_problems(file: WheelFile, source: Source) -> Iterator[Problem]:
    names: set[str] = set()
    for index, wheel in enumerate(file.wheels):
        if wheel.name in names:
            yield Problem(f"two wheels are called {wheel.name!r}", source.location(("wheels", index, "name")))
        names.add(wheel.name)


def _repeated_synonyms(file: WheelFile, source: Source) -> Iterator[Problem]:
    first: dict[str, YamlPath] = {}
    for index, group in enumerate(file.synonyms):
        for position, word in enumerate(group.words):
            path: YamlPath = ("synonyms", index, "words", position)
            if word in first:
                yield Problem(
                    f"the synonym {word!r} is given twice",
                    source.location(path),
                    f"the first at {source.location(first[word])}",
                    hint="keep it in one group",
                )
            first.setdefault(word, path)


def _wheel_problems(wheel: WheelEntry, source: Source, path: YamlPath) -> Iterator[Problem]:
    yield from _sector_problems(wheel, source, (*path, "sectors"))
    yield from _word_problems(wheel, source, (*path, "sectors"))
    for word, chosen in wheel.ambiguous.items():
        if not any(word in parts.get(chosen, ()) for parts in wheel.sectors.values()):
            yield Problem(
                f"ambiguous: {word!r} is not a word of the sector {chosen!r}",
                source.location((*path, "ambiguous", word)),
                expected="one that lists the word",
            )


def _sector_problems(wheel: WheelEntry, source: Source, path: YamlPath) -> Iterator[Problem]:
    if not wheel.sectors:
        expected = "level-1 sector: {level-2 sector: [words]}"
        yield Problem("the wheel has no sectors", source.location(path), expected=expected)
    names: set[str] = set()
    for level1, parts in wheel.sectors.items():
        if not parts:
            yield Problem(
                f"the sector {level1!r} has no level-2 sector",
                source.location((*path, level1)),
                hint=f"write {level1}: {{{level1}: []}}",
            )
        for level2 in parts:
            if level2 in names or (level2 in wheel.sectors and level2 != level1):
                yield Problem(
                    f"two sectors are called {level2!r}",
                    source.location((*path, level1, level2)),
                    hint="give each sector its own name",
                )
            names.add(level2)


def _word_problems(wheel: WheelEntry, source: Source, path: YamlPath) -> Iterator[Problem]:
    """Every word must lead to one sector."""
    names = {level2: level2 for parts in wheel.sectors.values() for level2 in parts}
    owner = dict(names)
    for level1, parts in wheel.sectors.items():
        for level2, words in parts.items():
            previous: set[str] = set()
            for index, word in enumerate(words):
                location = source.location((*path, level1, level2, index))
                if word in previous:
                    yield Problem(f"the word {word!r} stands twice in {level2!r}", location, hint="remove one of them")
                elif (word in wheel.sectors and word != level1) or names.get(word, level2) != level2:
                    yield Problem(f"the word {word!r} is the name of another sector", location)
                elif word not in wheel.ambiguous and owner.setdefault(word, level2) != level2:
                    yield Problem(
                        f"the word {word!r} stands in two sectors",
                        location,
                        f"{owner[word]} and {level2}",
                        hint=f"keep one, or write ambiguous: {{{word}: {level2}}}",
                    )
                previous.add(word)
