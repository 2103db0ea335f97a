"""Read the true labels of a test set from its label file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from affectgpt.data.csv_table import is_safe_name, parse_labels, read_column
from affectgpt.files.npz import read_npz
from affectgpt.registry.errors import DataError, Problem, join_names
from affectgpt.registry.messages import count_and_first, short_repr
from affectgpt.unibench.datasets.layouts import TestSet

_BEYOND = 1e-3
_SESSIONS = "12345"


@dataclass(frozen=True)
class ClipTruth:
    """The true emotion words, or the true sentiment, of one clip."""

    labels: tuple[str, ...] = ()
    sentiment: float | None = None


def read_labels(test_set: TestSet, folder: Path, problems: list[Problem]) -> dict[str, ClipTruth]:
    """Name -> truth of every test clip, in the order of the file; what is wrong is added to `problems`."""
    path = folder / test_set.label_file
    if not path.exists():
        problems.append(Problem("there is no label file", str(path), expected=f"the labels of {test_set.title}"))
        return {}
    if not test_set.corpus:
        texts = read_column(path, "openset", problems) or {}
        return {name: ClipTruth(labels=tuple(parse_labels(text))) for name, text in texts.items()}
    try:
        corpora = read_npz(path)
    except DataError as error:
        problems.extend(error.problems)
        return {}
    corpus = corpora.get(test_set.corpus)
    if not isinstance(corpus, dict):
        content = f"{test_set.corpus} of type {type(corpus).__name__}" if corpus is not None else join_names(corpora)
        problems.append(
            Problem(
                f"no labels {test_set.corpus}",
                str(path),
                content[:200],
                f"{test_set.corpus}: a dict of names",
                f"the label file may not be that of {test_set.title}",
            )
        )
        return {}
    return _Corpus(test_set, path, corpus).read(problems)


class _Corpus:
    def __init__(self, test_set: TestSet, path: Path, entries: dict[Any, Any]) -> None:
        self.test_set, self.path, self.entries = test_set, path, entries
        self.invalid_items: dict[tuple[str, str], list[str]] = {}

    def read(self, problems: list[Problem]) -> dict[str, ClipTruth]:
        parse = self.sentiment if self.test_set.task == "sentiment" else self.parse_word
        truths: dict[str, ClipTruth] = {}
        for name, entry in self.entries.items():
            if self.is_valid_name(name) and self.is_in_session(name):
                truth = self.truth(str(name), entry, parse)
                if truth is not None:
                    truths[str(name)] = truth
        problems.extend(
            Problem(what, f"{self.path}, {self.test_set.corpus}", count_and_first(items), expected)
            for (what, expected), items in self.invalid_items.items()
        )
        if not truths and not self.invalid_items:
            problems.append(
                Problem(
                    "there is no test clip",
                    f"{self.path}, {self.test_set.corpus}",
                    "no name",
                    f"{self.test_set.clips} clips",
                )
            )
        return truths

    def is_valid_name(self, name: Any) -> bool:
        if isinstance(name, str) and is_safe_name(name) and name == name.strip():
            return True
        self.add("names that are not plain file names", "NAME of the video NAME.mp4", short_repr(name))
        return False

    def is_in_session(self, name: str) -> bool:
        session = self.test_set.session
        if not session:
            return True
        if name[4:5] not in tuple(_SESSIONS):
            self.add("names without a session", "a session, 1 to 5, as the 5th character", name[:80])
        return name[4:5] == session

    def truth(self, name: str, entry: Any, read: Callable[[str, Any], ClipTruth | None]) -> ClipTruth | None:
        key = "val" if self.test_set.task == "sentiment" else "emo"
        if not isinstance(entry, dict) or key not in entry:
            self.add(f"clips without {key!r}", f"a dict with {key!r} for each name", name)
            return None
        return read(name, entry[key])

    def parse_word(self, name: str, value: Any) -> ClipTruth | None:
        words = self.test_set.words
        if self.test_set.indexed:
            numbered = ", ".join(f"{place} {word}" for place, word in enumerate(words))
            if isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < len(words):
                return ClipTruth(labels=(words[int(value)],))
            self.add("labels that are none of the numbers of emotions", numbered, f"{name}: {short_repr(value)}")
        else:
            if isinstance(value, str) and value in words:
                return ClipTruth(labels=(str(value),))
            self.add("labels that are none of the emotions", join_names(words), f"{name}: {short_repr(value)}")
        return None

    def sentiment(self, name: str, value: Any) -> ClipTruth | None:
        low, high = self.test_set.bounds
        if isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
            if low - _BEYOND <= number <= high + _BEYOND:
                return ClipTruth(sentiment=number)
        self.add("sentiments that are not numbers in the range", f"{low:g} to {high:g}", f"{name}: {short_repr(value)}")
        return None

    def add(self, what: str, expected: str, item: str) -> None:
        self.invalid_items.setdefault((what, expected), []).append(item)
