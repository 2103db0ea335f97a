"""The optional files of a saved model: a model card, and the sidecar of a converted checkpoint.

README.md    the card; one that was generated tells of the weights that it was written for
released/    plain files
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from affectgpt.registry.errors import CheckpointError

CARD, RELEASED = "README.md", "released"
EXTRAS = (CARD, RELEASED)


def check_extras(folder: Path) -> None:
    """Raise CheckpointError when the card or what is in `released/` of a saved model is anything but a plain file.

    A link in a folder that somebody else made could lead anywhere.
    """
    card = folder / CARD
    if os.path.lexists(card) and not stat.S_ISREG(card.lstat().st_mode):
        raise CheckpointError("this is not a model card", where=str(card), expected="a plain file", hint="move it away")
    sidecar = folder / RELEASED
    if not os.path.lexists(sidecar):
        return
    try:
        contents = sorted(sidecar.iterdir()) if stat.S_ISDIR(sidecar.lstat().st_mode) else [sidecar]
        odd = [path for path in contents if not stat.S_ISREG(path.lstat().st_mode)]
    except OSError as error:
        raise CheckpointError(
            "a folder of the saved model cannot be read", where=str(sidecar), found=error.strerror or str(error)
        ) from error
    if odd or contents == [sidecar]:
        raise CheckpointError(
            "this is not what a conversion leaves beside a model",
            where=str((odd or contents)[0]),
            expected=f"a folder {RELEASED} of plain files",
            hint="remove it: only `affectgpt convert back` needs it",
        )


def copy_sidecar(folder: Path, new_folder: Path) -> None:
    """Copy `released/` of the saved model `folder`, if it has one, into `made`. Raises as [check_extras][]."""
    check_extras(folder)
    if (folder / RELEASED).is_dir():
        (new_folder / RELEASED).mkdir()
        for path in (folder / RELEASED).iterdir():
            shutil.copyfile(path, new_folder / RELEASED / path.name, follow_symlinks=False)


def copy_extras(folder: Path, new_folder: Path) -> None:
    """Copy the extras of the saved model `folder`, which is about to be replaced, that `new_folder` does not have."""
    if not (new_folder / RELEASED).exists():
        copy_sidecar(folder, new_folder)
    card = folder / CARD
    # A generated card tells of the weights that are replaced.
    if card.is_file() and not (new_folder / CARD).exists() and not is_generated(card):
        shutil.copyfile(card, new_folder / CARD)


def add_mark(text: str) -> str:
    """`text` with its mark."""
    return f"{text}<!-- affectgpt card {hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def is_generated(path: Path) -> bool:
    """Whether `path` holds a marked text, not changed since."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    body, _, _ = text.rpartition("<!-- ")
    return bool(body) and text == add_mark(body)
