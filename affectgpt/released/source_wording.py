"""The original's wording, found in the user's copy of its source: read as text, never imported or run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from affectgpt.registry.errors import ConfigError
from affectgpt.released.checkpoint_config import CheckpointConfig
from affectgpt.released.input_types import MARKS, InputType
from affectgpt.released.source_files import HINT, SourceTexts
from affectgpt.released.source_pieces import Pieces, Slot
from affectgpt.released.source_texts import SourceText
from affectgpt.released.wording import LABELS_ANSWER, Wording, fill_markers, placeholders_for

_LABEL_KINDS = {"description": "description", "labels": "ovlabel"}
"""Kind of answer -> the original's name for it (`label_type`)."""
BARE_LABELS = (
    "no words around labels as an answer were found in this source: prompt.labels_answer is {labels} alone, "
    "and training on labels teaches that"
)


@dataclass(frozen=True)
class _Candidate:
    text: str
    file: Path
    source_text: SourceText

    @property
    def location(self) -> str:
        return f"{self.file}:{self.source_text.line}"


def find_wording(folder: Path, facts: CheckpointConfig) -> Wording:
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
    facts: CheckpointConfig
    unread: int

    def one(self, what: str, candidates: Sequence[_Candidate], name: str = "") -> str:
        """The only text among the `candidates`; of several, the one whose condition is `name`, whose variable or key
        is called a question, or whose class belongs to a data set of the checkpoint."""
        rules: list[Callable[[_Candidate], bool]] = [
            lambda candidate: True,
            lambda candidate: bool(name) and name in candidate.source_text.names,
            lambda candidate: "question" in candidate.source_text.role,
            self._of_a_data_set,
        ]
        for rule in rules:
            matches = [candidate for candidate in candidates if rule(candidate)]
            if len({candidate.text for candidate in matches}) == 1:
                return matches[0].text
        description = f"{what} for {name}" if name else what
        if not candidates:
            raise ConfigError(
                f"{description} was not found in this source",
                where=str(self.folder),
                found=f"{self.unread:,} files or folders could not be read" if self.unread else "",
                expected="the folder of the released AffectGPT's Python code",
                hint=HINT,
            )
        locations = {candidate.text: candidate.location for candidate in reversed(candidates)}
        raise ConfigError(
            f"{description} stands in this source in {len(locations)} versions",
            where=str(self.folder),
            found="; ".join(f"{location} ({text[:40]!r})" for text, location in list(locations.items())[:5]),
            hint=HINT,
        )

    def _of_a_data_set(self, candidate: _Candidate) -> bool:
        scope_name = _plain(f"{candidate.source_text.scope}{candidate.file.stem}")
        return any(_plain(name) in scope_name for name in self.facts.datasets if _plain(name))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


# -- which texts are meant


def _templates(texts: Sequence[tuple[Path, SourceText]], reads: InputType) -> list[_Candidate]:
    candidates = []
    # A text that is extended later is not the complete prompt, whether the longer one is understood or not.
    parts = {(file, text.scope, text.before) for file, text in texts if _extends_earlier_text(text)}
    for file, text in texts:
        template = None if (file, text.scope, text.pieces) in parts else _template(text.pieces)
        if template is not None and Counter(re.findall(r"\{(\w+)\}", template)) == Counter(placeholders_for(reads)):
            candidates.append(_Candidate(template, file, text))
    # A prompt built step by step appears after each step; only the last is complete.
    built: dict[tuple[Path, str], set[str]] = {}
    for candidate in candidates:
        built.setdefault((candidate.file, candidate.source_text.scope), set()).add(candidate.text)
    steps: set[tuple[Path, str, str]] = set()
    for (file, scope), versions in built.items():
        # In sorted order, an extension follows its text.
        steps |= {(file, scope, text) for text, after in pairwise(sorted(versions)) if after.startswith(text)}
    return [
        candidate
        for candidate in candidates
        if (candidate.file, candidate.source_text.scope, candidate.text) not in steps
    ]


def _extends_earlier_text(text: SourceText) -> bool:
    """Whether the text starts with the earlier text of its variable and adds words."""
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
    return any(isinstance(candidate, str) and candidate.strip() for candidate in after)


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
    return fill_markers(text) if slots == 1 and (any(mark in text for mark in MARKS) or "{subtitle}" in text) else None


def _questions(texts: Sequence[tuple[Path, SourceText]], label_kind: str) -> list[_Candidate]:
    candidates = [
        _Candidate(text.pieces[0], file, text)
        for file, text in texts
        if len(text.pieces) == 1
        and isinstance(text.pieces[0], str)
        and _asks_for(text, label_kind)
        and _is_question(text)
    ]
    return [candidate for candidate in candidates if len(candidate.text.split()) > 2]


def _answers(texts: Sequence[tuple[Path, SourceText]]) -> Iterator[_Candidate]:
    for file, text in texts:
        slots = [piece for piece in text.pieces if isinstance(piece, Slot)]
        words = "".join(piece for piece in text.pieces if isinstance(piece, str))
        if any(slot.missing for slot in slots):
            continue
        if len(slots) == 1 and words.strip() and not re.search(r"[{}]", words) and "answer" in text.role.lower():
            if _asks_for(text, "labels") or _LABEL_KINDS["labels"] in slots[0].name:
                answer = "".join(piece if isinstance(piece, str) else "{labels}" for piece in text.pieces)
                yield _Candidate(answer, file, text)
        elif len(slots) == 1 and words.strip() and _LABEL_KINDS["labels"] in slots[0].name and "[1]" in text.role:
            yield _Candidate("".join(p if isinstance(p, str) else "{labels}" for p in text.pieces), file, text)


def _asks_for(text: SourceText, label_kind: str) -> bool:
    """Whether the nearest name that mentions a kind of label mentions this one."""
    for name in (text.role, *reversed(text.names)):
        kinds = {kind for kind, word in _LABEL_KINDS.items() if word in name.lower()}
        if kinds:
            return kinds == {label_kind}
    return False


def _is_question(text: SourceText) -> bool:
    role = text.role.lower()
    return "answer" not in role and (
        "question" in role
        or role in ("return", "return[0]", "prompt", "user_message", "query", "instruction")
        or any(word in role for word in _LABEL_KINDS.values())
    )
