"""The original's wording, found in the user's copy of its source: read as text, never imported or run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from affectgpt.registry.errors import ConfigError
from affectgpt.released.checkpoint_config import Facts
from affectgpt.released.input_types import MARKS, InputType
from affectgpt.released.source_files import HINT, SourceTexts
from affectgpt.released.source_pieces import Pieces, Slot
from affectgpt.released.source_texts import Found
from affectgpt.released.wording import LABELS_ANSWER, Wording, marked, places_of

_ASKED = {"description": "description", "labels": "ovlabel"}
"""What is asked for -> the original's name for it (`label_type`)."""
BARE_LABELS = (
    "no words around labels as an answer were found in this source: prompt.labels_answer is {labels} alone, "
    "and training on labels teaches that"
)


@dataclass(frozen=True)
class _Candidate:
    text: str
    file: Path
    found: Found

    @property
    def place(self) -> str:
        return f"{self.file}:{self.found.line}"


def find_wording(folder: Path, facts: Facts) -> Wording:
    """The template and questions of `facts` in the Python files under `folder`.

    Raises ConfigError when the folder holds no Python file, or when a text is not found or there are several.
    """
    source = SourceTexts(folder)
    texts = source.read()
    chooser = _Chooser(folder, facts, source.unread)
    template = chooser.one("the prompt template", _templates(texts, facts.reads), facts.reads.name)
    question = chooser.one("the question for a description", _questions(texts, "description"))
    labels = chooser.one("the question for labels", _questions(texts, "labels"))
    answers = list(_answers(texts))
    answer = chooser.one("the answer of labels", answers) if answers else LABELS_ANSWER
    return Wording(template, question, labels, answer, () if answers else (BARE_LABELS,))


@dataclass(frozen=True)
class _Chooser:
    folder: Path
    facts: Facts
    unread: int

    def one(self, what: str, candidates: Sequence[_Candidate], name: str = "") -> str:
        """The only text among the `candidates`; of several the one whose condition is `name`, that a variable or key
        calls a question, or whose class is that of a data set of the checkpoint."""
        rules: list[Callable[[_Candidate], bool]] = [
            lambda each: True,
            lambda each: bool(name) and name in each.found.names,
            lambda each: "question" in each.found.role,
            self._of_a_data_set,
        ]
        for rule in rules:
            left = [each for each in candidates if rule(each)]
            if len({each.text for each in left}) == 1:
                return left[0].text
        wanted = f"{what} for {name}" if name else what
        if not candidates:
            raise ConfigError(
                f"{wanted} was not found in this source",
                where=str(self.folder),
                found=f"{self.unread:,} files or folders could not be read" if self.unread else "",
                expected="the folder of the released AffectGPT's Python code",
                hint=HINT,
            )
        places = {each.text: each.place for each in reversed(candidates)}
        raise ConfigError(
            f"{wanted} stands in this source in {len(places)} versions",
            where=str(self.folder),
            found="; ".join(f"{place} ({text[:40]!r})" for text, place in list(places.items())[:5]),
            hint=HINT,
        )

    def _of_a_data_set(self, candidate: _Candidate) -> bool:
        said = _plain(f"{candidate.found.scope}{candidate.file.stem}")
        return any(_plain(name) in said for name in self.facts.datasets if _plain(name))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


# -- which texts are meant


def _templates(texts: Sequence[tuple[Path, Found]], reads: InputType) -> list[_Candidate]:
    found = []
    # A text that more words were put behind is no whole prompt, be the longer one understood or not.
    parts = {(file, text.scope, text.before) for file, text in texts if _says_more(text)}
    for file, text in texts:
        template = None if (file, text.scope, text.pieces) in parts else _template(text.pieces)
        if template is not None and Counter(re.findall(r"\{(\w+)\}", template)) == Counter(places_of(reads)):
            found.append(_Candidate(template, file, text))
    # A prompt that is built up step by step is seen after each step: the last is meant.
    built: dict[tuple[Path, str], set[str]] = {}
    for each in found:
        built.setdefault((each.file, each.found.scope), set()).add(each.text)
    steps: set[tuple[Path, str, str]] = set()
    for (file, scope), inside in built.items():
        # In their order, what goes on from a text follows it.
        steps |= {(file, scope, text) for text, after in pairwise(sorted(inside)) if after.startswith(text)}
    return [each for each in found if (each.file, each.found.scope, each.text) not in steps]


def _says_more(text: Found) -> bool:
    """Whether the text begins with what its variable held before, and has words after that."""
    if not text.before:
        return False
    *first, last = text.before
    if text.pieces[: len(first)] != (*first,) or len(text.pieces) <= len(first):
        return False
    start, after = text.pieces[len(first)], text.pieces[len(first) + 1 :]
    if isinstance(last, str) and isinstance(start, str) and start.startswith(last):
        after = (start[len(last) :], *after)
    elif start != last:
        return False
    return any(isinstance(each, str) and each.strip() for each in after)


def _template(pieces: Pieces) -> str | None:
    """The template with placeholders, or None when it is not one: words with places for a subtitle and a question."""
    text, slots = "", 0
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            if "{" in piece or "}" in piece:
                return None
            text += piece
        elif piece.missing:
            return None
        else:
            after = pieces[index + 1] if index + 1 < len(pieces) else ""
            tagged = text.endswith("<Subtitle>") and isinstance(after, str) and after.startswith("</Subtitle>")
            subtitle = tagged or "subtitle" in piece.name.lower()
            slots += not subtitle
            text += "{subtitle}" if subtitle else "{question}"
    return marked(text) if slots == 1 and (any(mark in text for mark in MARKS) or "{subtitle}" in text) else None


def _questions(texts: Sequence[tuple[Path, Found]], asked: str) -> list[_Candidate]:
    found = [
        _Candidate(text.pieces[0], file, text)
        for file, text in texts
        if len(text.pieces) == 1 and isinstance(text.pieces[0], str) and _asks_for(text, asked) and _is_question(text)
    ]
    return [each for each in found if len(each.text.split()) > 2]


def _answers(texts: Sequence[tuple[Path, Found]]) -> Iterator[_Candidate]:
    for file, text in texts:
        slots = [piece for piece in text.pieces if isinstance(piece, Slot)]
        words = "".join(piece for piece in text.pieces if isinstance(piece, str))
        if any(slot.missing for slot in slots):
            continue
        if len(slots) == 1 and words.strip() and not re.search(r"[{}]", words) and "answer" in text.role.lower():
            if _asks_for(text, "labels") or _ASKED["labels"] in slots[0].name:
                answer = "".join(piece if isinstance(piece, str) else "{labels}" for piece in text.pieces)
                yield _Candidate(answer, file, text)
        elif len(slots) == 1 and words.strip() and _ASKED["labels"] in slots[0].name and "[1]" in text.role:
            yield _Candidate("".join(p if isinstance(p, str) else "{labels}" for p in text.pieces), file, text)


def _asks_for(text: Found, asked: str) -> bool:
    """Whether the nearest name that speaks of a kind of label speaks of this one."""
    for name in (text.role, *reversed(text.names)):
        kinds = {kind for kind, theirs in _ASKED.items() if theirs in name.lower()}
        if kinds:
            return kinds == {asked}
    return False


def _is_question(text: Found) -> bool:
    role = text.role.lower()
    return "answer" not in role and (
        "question" in role
        or role in ("return", "return[0]", "prompt", "user_message", "query", "instruction")
        or any(theirs in role for theirs in _ASKED.values())
    )
