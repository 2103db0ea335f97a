"""The Python files of a source folder and the texts in them: parsed one after the other, never imported or run."""

from __future__ import annotations

import ast
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.registry.errors import ConfigError
from affectgpt.released.input_types import MARKS
from affectgpt.released.source_texts import SourceText, constants_of, texts_of

MOST_FILES, MOST_BYTES, LARGEST_FILE = 5000, 64 * 2**20, 2**20
MOST_TEXTS, MOST_CHARACTERS, DEEPEST, MOST_PLACES = 100_000, 32 * 2**20, 64, 100_000
HINT = 'write the wording into a file and pass prompt="FILE"'


@dataclass
class SourceTexts:
    """The texts in the Python files under a folder, each with its file's place there.

    `unread` counts what was passed over: files that are damaged or too large, and folders too deep or not to be read.
    """

    folder: Path
    unread: int = 0
    _files: dict[Path, bytes] = field(default_factory=dict)

    def read(self) -> list[tuple[Path, SourceText]]:
        """All texts. Raises ConfigError when there is no Python file, or more of it than one can choose from."""
        self._collect()
        values: dict[str, set[str]] = {}
        self.unread += sum(_parse(content) is None for content in self._files.values())
        for _, tree in self._trees():
            for name, constant in constants_of(tree):
                values.setdefault(name, set()).add(constant)
        # Names for the marks may stand in another file than the templates.
        marks = {name: text for name, (text, *more) in values.items() if not more and text in MARKS}
        texts: list[tuple[Path, SourceText]] = []
        characters = 0
        for file, tree in self._trees():
            try:
                for text in texts_of(tree, marks):
                    texts.append((file, text))
                    characters += sum(len(piece) if isinstance(piece, str) else 1 for piece in text.pieces)
                    if len(texts) > MOST_TEXTS or characters > MOST_CHARACTERS:
                        raise self._too_much("texts", f"{MOST_TEXTS:,} of {MOST_CHARACTERS:,} characters")
            except RecursionError:
                self.unread += 1
        return texts

    def _trees(self) -> Iterator[tuple[Path, ast.Module]]:
        # Parsed again each time: a tree takes hundreds of times the memory of its text.
        for file, content in self._files.items():
            tree = _parse(content)
            if tree is not None:
                yield file, tree

    def _collect(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(
                "there is no such folder", where=str(self.folder), expected="the original's source folder"
            )
        stack, visited, total = [(self.folder, 0)], 0, 0
        while stack:
            folder, depth = stack.pop()
            files, folders, count = _list_folder(folder, MOST_PLACES - visited)
            visited += count
            self.unread += count == 0 and depth > 0
            if visited >= MOST_PLACES:
                raise self._too_much("files", f"{MOST_PLACES:,} files and folders")
            if depth == DEEPEST:
                self.unread += len(folders)
                folders = []
            stack += [(subfolder, depth + 1) for subfolder in sorted(folders, reverse=True)]
            for path in sorted(files):
                content = _read_file(path)
                total += len(content or b"")
                if len(self._files) >= MOST_FILES or total > MOST_BYTES:
                    raise self._too_much("Python code", f"{MOST_FILES:,} files and {MOST_BYTES:,} bytes")
                if content is None:
                    self.unread += 1
                else:
                    self._files[path.relative_to(self.folder)] = content
        if not self._files:
            raise ConfigError("there is no Python code in this folder", where=str(self.folder), hint=HINT)

    def _too_much(self, what: str, most: str) -> ConfigError:
        return ConfigError(
            f"there is too much Python code in this folder: too many {what}",
            where=str(self.folder),
            expected=f"at most {most}",
            hint=f"name the folder of the AffectGPT code itself, or {HINT}",
        )


def _list_folder(folder: Path, most: int) -> tuple[list[Path], list[Path], int]:
    """Python files and folders directly in `place`, and how many entries were looked at; none when it cannot be."""
    files, folders, count = [], [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                if count >= most:
                    break
                if entry.is_dir(follow_symlinks=False):
                    folders += [] if entry.name.startswith(".") else [folder / entry.name]
                elif entry.name.endswith(".py"):
                    files.append(folder / entry.name)
    except OSError:
        return [], [], 0
    return files, folders, count


def _read_file(path: Path) -> bytes | None:
    # A link could lead anywhere; a large file is no source.
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            return None
        with path.open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError:
        return None


def _parse(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
