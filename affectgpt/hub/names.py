"""Names of models on the Hub (`owner/name[@revision]`), and the names of the files of a saved model."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from affectgpt.core.saved.config import ADAPTER, ADAPTER_WEIGHTS, CONFIG, PLUGINS, WEIGHTS
from affectgpt.registry.errors import ConfigError

# Files by name or pattern: no other files are downloaded from a repository or uploaded from a folder.
FILES = (
    CONFIG,
    WEIGHTS,
    PLUGINS,
    "README.md",
    f"{ADAPTER}/adapter_config.json",
    f"{ADAPTER}/{ADAPTER_WEIGHTS}",
    *(f"tokenizer/*.{end}" for end in ("json", "jinja", "txt", "model", "jsonl")),
    *(f"released/*.{end}" for end in ("json", "safetensors", "txt", "yaml")),
)
"""Patterns of the files of a saved model: weights as safetensors, settings and words as text, no code, no pickle.

For [is_model_file][] only: the Hub's client matches a pattern's `*` with a `/` as well.
"""
SUBFOLDERS = ("tokenizer/*/*", "released/*/*")
"""What the Hub's client would take for [FILES][] and is not."""

_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_NAMED = re.compile(rf"(?P<repo>{_REPO.pattern})(?:@(?P<revision>.*))?", re.ASCII | re.DOTALL)
_REVISION = re.compile(r"\w[\w./-]{0,199}", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A repository `owner/name`, and its branch, tag or commit (None: the main branch)."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "")


def hub_name(text: str, revision: str | None = None) -> HubName | None:
    """Parse `text` as `owner/name[@revision]`; None when it is a folder or not of this form.

    Raises ConfigError when the name or the revision is not valid, when there are two revisions, or when a folder has
    a revision.
    """
    match = None if os.path.lexists(text) else _NAMED.fullmatch(text)
    if match is None:
        if revision is not None:
            raise ConfigError("only a model on the Hub has revisions", where=text, found=f"revision {revision!r}")
        return None
    if match["revision"] is not None and revision is not None:
        raise ConfigError("the revision is given twice", where=text, found=f"revision {revision!r}")
    commit = match["revision"] if match["revision"] is not None else revision
    return HubName(valid_repo(match["repo"]), None if commit is None else valid_revision(commit, text))


def is_named(text: str) -> bool:
    """Whether `text` has the form `owner/name`."""
    return _REPO.fullmatch(text) is not None


def valid_repo(text: str) -> str:
    """Return `text`. Raises ConfigError unless it is a valid `owner/name` of the Hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(text)
        if text.count("/") != 1:
            raise HFValidationError("the owner is missing")
    except HFValidationError as error:
        raise ConfigError(
            "this is not the name of a model on the Hub",
            where=text,
            found=_first_sentence(error),
            expected="owner/name, of letters, digits, '-', '_' and '.'",
        ) from None
    return text


def valid_revision(text: str, where: str) -> str:
    """Return `text`. Raises ConfigError unless it is a valid name of a branch, tag or commit."""
    if not _REVISION.fullmatch(text) or ".." in text or "//" in text or text.endswith(("/", ".lock")):
        raise ConfigError(
            "this is not a revision", where=where, found=repr(text), expected="a branch, a tag or a commit, as in @main"
        )
    return text


def is_model_path(path: Path, folder: Path) -> bool:
    """Whether the file `path` of the saved model in `folder` is one of [FILES][]."""
    return is_model_file(path.relative_to(folder).as_posix())


def is_model_file(name: str) -> bool:
    """Whether a saved model may have a file `name` (such as `tokenizer/tokenizer.json`), compared folder by folder."""
    path = PurePosixPath(name)
    plain = str(path) == name and ".." not in path.parts and name.isprintable()
    return plain and any(path.match(each) and len(path.parts) == each.count("/") + 1 for each in FILES)


def files_in(folder: Path) -> list[str]:
    """The names of the files of the saved model in `folder`, sorted. Links are not followed."""
    paths = (
        path for subfolder in ("", "adapter", "tokenizer", "released") for path in _plain_files(folder / subfolder)
    )
    return sorted(path.relative_to(folder).as_posix() for path in paths if is_model_path(path, folder))


def exact_patterns(names: Iterable[str]) -> list[str]:
    """Patterns for the Hub's client that match exactly these names."""
    return [glob.escape(name) for name in names]


def _plain_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]


def _first_sentence(error: Exception) -> str:
    return str(error).split(": '")[0][:200]
