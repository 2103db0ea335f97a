"""Checkpoints of a training run on the disk: each is there whole and marked complete, or resume does not take it.

    step-00000120/
      tensors.safetensors   what training changes
      facts.json            plain values: where in the data the run is, random states, measurements
      complete.json         size and SHA-256 of the two; written last, when they are on the disk

No pickle is written or read.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from affectgpt.files.atomic import write_whole
from affectgpt.files.hashing import hash_of
from affectgpt.registry.errors import CheckpointError, RunError

TENSORS, FACTS, MARKER = "tensors.safetensors", "facts.json", "complete.json"
MAX_FACTS = 64 * 2**20
"""Bytes of `facts.json`."""
_MAX_MARKER = 2**16
_NAME = re.compile(r"step-[0-9]{8,18}")
_LEFT = re.compile(r"\.step-[0-9]{8,18}\.(part|old)")


@dataclass(frozen=True)
class Saved:
    """A run after `step` steps: the `tensors` to continue with (by name, on the CPU) and plain JSON values, `facts`."""

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class _Unusable(Exception):
    """Why resume passes over a checkpoint."""


def write_checkpoint(folder: Path, saved: Saved, keep: int) -> Path:
    """Write `saved` into `folder`; the `keep` newest checkpoints stay, what killed writes left does not.

    Older ones are removed when this one is complete, and so are those of later steps: a run that writes step 120 was
    not continued from them. Raises RunError when the disk refuses; former checkpoints are then as they were. For one
    process at a time.
    """
    if keep < 1 or saved.step < 0:
        raise ValueError(f"keep {keep}, step {saved.step}")
    facts = json.dumps(saved.facts, ensure_ascii=True, allow_nan=False)
    if len(facts) > MAX_FACTS:
        raise ValueError(f"{len(facts)} bytes of facts, at most {MAX_FACTS}")
    path = folder / _name(saved.step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        _write(path, saved, facts)
        others = [step for step in _complete(folder) if step != saved.step]
        older = sorted(step for step in others if step < saved.step)
        for step in [*older[: max(0, len(older) + 1 - keep)], *(each for each in others if each > saved.step)]:
            os.replace(folder / _name(step), _old(folder / _name(step)))
        _remove_leftovers(folder)
    except (OSError, SafetensorError) as error:
        raise RunError(
            "the checkpoint cannot be written",
            where=str(path),
            found=getattr(error, "strerror", None) or str(error).splitlines()[0],
            hint="make room or mend the folder, then resume: the run goes on from the newest complete checkpoint",
        ) from None
    return path


def newest_checkpoint(folder: Path) -> tuple[Saved | None, list[str]]:
    """The newest checkpoint that is complete and undamaged (None: there is none), and why newer ones were passed over.

    Raises CheckpointError when the folder, or a checkpoint in it, is there and cannot be read: that may pass, and a
    run that goes on from an older one removes those after it.
    """
    notes: list[str] = []
    for step in sorted(_steps(folder), reverse=True):
        path = folder / _name(step)
        try:
            with _told("the checkpoint", path):
                return _read(path, step), notes
        except _Unusable as reason:
            notes.append(f"{path} is passed over: {reason}")
    return None, notes


def holds_complete(folder: Path) -> bool:
    """Whether a checkpoint here is marked complete, be it usable or not. Raises CheckpointError."""
    with _told("the folder of checkpoints", folder):
        return any(_is_marked(folder / _name(step)) for step in _steps(folder))


@contextmanager
def _told(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{what} cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            hint="try again; to go on without it, move it away",
        ) from None


def _steps(folder: Path) -> list[int]:
    with _told("the folder of checkpoints", folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            names = []
    return [int(name[5:]) for name in names if _is_name(name)]


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _old(path: Path) -> Path:
    # What is to be removed gets this name first, so that half of it is never found in the place of the whole.
    return path.with_name(f".{path.name}.old")


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name == _name(int(name[5:]))


def _write(path: Path, saved: Saved, facts: str) -> None:
    made = path.with_name(f".{path.name}.part")
    try:
        made.mkdir()
        save_file(dict(saved.tensors), made / TENSORS)
        (made / FACTS).write_text(facts, encoding="ascii")
        for each in (made / TENSORS, made / FACTS, made):
            _sync(each)
        sizes = {name: (made / name).stat().st_size for name in (TENSORS, FACTS)}
        files = {name: {"size": size, "sha256": hash_of(made / name)} for name, size in sizes.items()}
        _put(made, path, json.dumps({"step": saved.step, "files": files}, indent=1) + "\n")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, path: Path, marker: str) -> None:
    if path.is_dir() and not path.is_symlink():
        # The same step, damaged or from a run before this one: it gives way only now.
        os.replace(path, _old(path))
    try:
        os.replace(made, path)
        try:
            _sync(path.parent)
            write_whole(path / MARKER, marker)
            _sync(path)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
    except OSError:
        if _old(path).is_dir():
            os.replace(_old(path), path)
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (each for each in entries if each.is_dir(follow_symlinks=False))


def _complete(folder: Path) -> list[int]:
    return [int(each.name[5:]) for each in _folders(folder) if _is_name(each.name) and _is_marked(Path(each.path))]


def _is_marked(path: Path) -> bool:
    # Not os.path.lexists: that takes what cannot be read for what is not there, and it would be removed.
    try:
        (path / MARKER).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _remove_leftovers(folder: Path) -> None:
    complete = {_name(step) for step in _complete(folder)}
    for each in list(_folders(folder)):
        if _LEFT.fullmatch(each.name) or (_is_name(each.name) and each.name not in complete):
            shutil.rmtree(each.path)


def _read(path: Path, step: int) -> Saved:
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise _Unusable("it is no folder")
    if not _is_marked(path):
        raise _Unusable(f"there is no {MARKER}: its writing was cut short")
    marker = _json(path / MARKER, _MAX_MARKER)
    files = marker.get("files")
    if type(marker.get("step")) is not int or not isinstance(files, dict) or set(files) != {TENSORS, FACTS}:
        raise _Unusable(f"{MARKER} does not hold a step, and the sizes and hashes of {TENSORS} and {FACTS}")
    if marker["step"] != step:
        raise _Unusable(f"{MARKER} is of step {str(marker['step'])[:20]}")
    for name, stated in files.items():
        size = _regular(path / name)
        wanted = stated.get("size") if isinstance(stated, dict) else None
        if size != wanted:
            raise _Unusable(f"{name} has {size} bytes, not {str(wanted)[:20]}")
        if hash_of(path / name) != stated.get("sha256"):
            raise _Unusable(f"{name} was altered: its hash is not that in {MARKER}")
    facts = _json(path / FACTS, MAX_FACTS)
    try:
        return Saved(step, load_file(path / TENSORS), facts)
    except SafetensorError as error:
        reason = (str(error) or "damaged").splitlines()[0][:200]
        raise _Unusable(f"{TENSORS} is no whole safetensors file ({reason})") from None


def _regular(path: Path) -> int:
    """The size of a file. Neither a link, which may lead anywhere, nor a pipe, which would be waited for, will do."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise _Unusable(f"{path.name} is missing") from None
    if not stat.S_ISREG(found.st_mode):
        raise _Unusable(f"{path.name} is no regular file")
    return found.st_size


def _json(path: Path, limit: int) -> dict[str, Any]:
    if _regular(path) > limit:
        raise _Unusable(f"{path.name} has more than {limit} bytes")
    try:
        found = json.loads(path.read_bytes(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"{path.name} is no JSON ({str(error).splitlines()[0][:80]})") from None
    if not isinstance(found, dict):
        raise _Unusable(f"{path.name} holds no JSON object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value
