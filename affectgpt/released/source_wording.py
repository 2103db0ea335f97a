"""The original's wording, found in the user's copy of its source: read as text, never imported or run."""

from __future__ import annotations

import ast
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectgpt.registry.errors import ConfigError
from affectgpt.released.facts import Facts
from affectgpt.released.input_types import MARKS, InputType
from affectgpt.released.source_texts import Found, Pieces, Slot, constants_of, texts_of
from affectgpt.released.wording import LABELS_ANSWER, Wording, marked, places_of

MOST_FILES, MOST_BYTES, LARGEST_FILE = 5000, 64 * 2**20, 2**20
_ASKED = {"description": "description", "labels": "ovlabel"}
"""What is asked for -> the original's name for it (`label_type`)."""
_HINT = "write the wording into a file and give it with --prompt FILE"


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
    texts = list(_texts(folder))
    chooser = _Chooser(folder, facts)
    template = chooser.one("the prompt template", _templates(texts, facts.reads), facts.reads.name)
    question = chooser.one("the question for a description", _questions(texts, "description"))
    labels = chooser.one("the question for labels", _questions(texts, "labels"))
    answers = list(_answers(texts))
    answer = chooser.one("the answer of labels", answers) if answers else LABELS_ANSWER
    return Wording(template, question, labels, answer)


@dataclass(frozen=True)
class _Chooser:
    folder: Path
    facts: Facts

    def one(self, what: str, candidates: Sequence[_Candidate], name: str = "") -> str:
        """The only text among the `candidates`; of several the one whose condition is `name`, that a variable or key
        calls a question, or whose class is that of a data set of the checkpoint."""
        rules: list[Callable[[_Candidate], bool]] = [
            lambda each: True, lambda each: name in each.found.names, lambda each: "question" in each.found.role,
            self._of_a_data_set,
        ]  # fmt: skip
        for rule in rules:
            left = [each for each in candidates if rule(each)]
            if len({each.text for each in left}) == 1:
                return left[0].text
        wanted = f"{what} for {name}" if name else what
        if not candidates:
            raise ConfigError(
                f"{wanted} was not found in this source", where=str(self.folder),
                expected="the folder of the released AffectGPT's Python code", hint=_HINT,
            )  # fmt: skip
        places = {each.text: each.place for each in reversed(candidates)}
        raise ConfigError(
            f"{wanted} stands in this source in {len(places)} versions", where=str(self.folder),
            found="; ".join(f"{place} ({text[:40]!r})" for text, place in list(places.items())[:5]), hint=_HINT,
        )  # fmt: skip

    def _of_a_data_set(self, candidate: _Candidate) -> bool:
        said = _plain(f"{candidate.found.scope}{candidate.file.stem}")
        return any(_plain(name) in said for name in self.facts.datasets if _plain(name))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


# -- which texts are meant


def _templates(texts: Sequence[tuple[Path, Found]], reads: InputType) -> list[_Candidate]:
    found = []
    for file, text in texts:
        template = _template(text.pieces)
        if template is not None and Counter(re.findall(r"\{(\w+)\}", template)) == Counter(places_of(reads)):
            found.append(_Candidate(template, file, text))
    # A prompt that is built up step by step is seen after each step: the last is meant.
    return [
        each for each in found
        if not any(
            other.file == each.file and other.found.scope == each.found.scope and other.text != each.text
            and other.text.startswith(each.text) for other in found
        )
    ]  # fmt: skip


def _template(pieces: Pieces) -> str | None:
    """The template with placeholders, or None when it is not one: words with places for a subtitle and a question."""
    text, slots = "", 0
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            if "{" in piece or "}" in piece:
                return None
            text += piece
        else:
            after = pieces[index + 1] if index + 1 < len(pieces) else ""
            tagged = text.endswith("<Subtitle>") and isinstance(after, str) and after.startswith("</Subtitle>")
            subtitle = tagged or "subtitle" in piece.name.lower()
            slots += not subtitle
            text += "{subtitle}" if subtitle else "{question}"
    return marked(text) if slots == 1 and (any(mark in text for mark in MARKS) or "{subtitle}" in text) else None


def _questions(texts: Sequence[tuple[Path, Found]], asked: str) -> list[_Candidate]:
    found = [
        _Candidate(text.pieces[0], file, text) for file, text in texts
        if len(text.pieces) == 1 and isinstance(text.pieces[0], str) and _asks_for(text, asked) and _is_question(text)
    ]  # fmt: skip
    return [each for each in found if len(each.text.split()) > 2]


def _answers(texts: Sequence[tuple[Path, Found]]) -> Iterator[_Candidate]:
    for file, text in texts:
        slots = [piece for piece in text.pieces if isinstance(piece, Slot)]
        words = "".join(piece for piece in text.pieces if isinstance(piece, str))
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
        "question" in role or role in ("return", "return[0]", "prompt", "user_message", "query", "instruction")
        or any(theirs in role for theirs in _ASKED.values())
    )  # fmt: skip


# -- the files


def _texts(folder: Path) -> Iterator[tuple[Path, Found]]:
    trees = list(_trees(folder))
    values: dict[str, set[str]] = {}
    for _, tree in trees:
        for name, text in constants_of(tree):
            values.setdefault(name, set()).add(text)
    # Names for the marks may stand in another file than the templates.
    marks = {name: text for name, (text, *more) in values.items() if not more and text in MARKS}
    for file, tree in trees:
        try:
            yield from ((file.relative_to(folder), text) for text in texts_of(tree, marks))
        except RecursionError:
            continue


def _trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(folder), expected="the original's source folder")
    total = files = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.endswith(".py"):
                continue
            content = _content(path)
            total, files = total + len(content), files + 1
            if files > MOST_FILES or total > MOST_BYTES:
                raise ConfigError(
                    "there is too much Python code in this folder", where=str(folder),
                    expected=f"at most {MOST_FILES:,} files and {MOST_BYTES:,} bytes",
                    hint="name the folder of the AffectGPT code itself",
                )  # fmt: skip
            tree = _parsed(content)
            if tree is not None:
                yield path, tree
    if not files:
        raise ConfigError("there is no Python code in this folder", where=str(folder), hint=_HINT)


def _content(path: Path) -> bytes:
    # A link could lead anywhere; a large file is no source.
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
            return b""
        with path.open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError:
        return b""


def _parsed(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
