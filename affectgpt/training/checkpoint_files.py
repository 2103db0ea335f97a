"""Checkpoints of a training run on disk; resume uses only those marked complete.

    step-00000120/
      tensors.safetensors   trained weights, optimizer state
      facts.json            plain values: settings, best loss, gradient scaler
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

from affectgpt.files.atomic import sync_to_disk, write_atomic
from affectgpt.files.hashing import sha256_of_file
from affectgpt.registry.errors import CheckpointError, RunError

TENSORS, FACTS, MARKER = "tensors.safetensors", "facts.json", "complete.json"
MAX_FACTS = 64 * 2**20
"""Bytes of `facts.json`."""
_MAX_MARKER = 2**16
_NAME = re.compile(r"step-[0-9]{8,18}")
_LEFTOVER = re.compile(r"\.step-[0-9]{8,18}\.(part|old)")


@dataclass(frozen=True)
class CheckpointData:
    """A run after `step` steps: the `tensors` to continue with (by name, on the CPU) and plain JSON values, `facts`."""

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class _Unusable(Exception):
    """Why resume skips a checkpoint."""


def write_checkpoint(folder: Path, checkpoint: CheckpointData, keep: int) -> Path:
    """Write `saved` into `folder`; keep the `keep` newest checkpoints; remove unfinished writes.

    Older ones are removed when this one is complete, and so are those of later steps: a run that writes step 120 was
    not continued from them. Raises RunError when the disk refuses; former checkpoints are then as they were. For one
    process at a time.
    """
    if keep < 1 or checkpoint.step < 0:
        raise ValueError(f"keep {keep}, step {checkpoint.step}")
    facts = json.dumps(checkpoint.facts, ensure_ascii=True, allow_nan=False)
    if len(facts) > MAX_FACTS:
        raise ValueError(f"{len(facts)} bytes of facts, at most {MAX_FACTS}")
    path = folder / _name(checkpoint.step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        _write(path, checkpoint, facts)
        other_steps = [step for step in _complete(folder) if step != checkpoint.step]
        older = sorted(step for step in other_steps if step < checkpoint.step)
        for step in [
            *older[: max(0, len(older) + 1 - keep)],
            *(later for later in other_steps if later > checkpoint.step),
        ]:
            os.replace(folder / _name(step), _old(folder / _name(step)))
        _remove_leftovers(folder)
    except (OSError, SafetensorError) as error:
        raise RunError(
            "the checkpoint cannot be written",
            where=str(path),
            found=getattr(error, "strerror", None) or str(error).splitlines()[0],
            hint="make room or mend the folder, then resume: the run continues from the newest complete checkpoint",
        ) from None
    return path


def newest_checkpoint(folder: Path) -> tuple[CheckpointData | None, list[str]]:
    """The newest checkpoint that is complete and undamaged (None: there is none), and why newer ones were skipped.

    Raises CheckpointError when the folder, or a checkpoint in it, exists and cannot be read: the failure may be
    temporary, and a run that resumes from an older one removes the newer ones.
    """
    notes: list[str] = []
    for step in sorted(_steps(folder), reverse=True):
        path = folder / _name(step)
        try:
            with _disk_errors("the checkpoint", path):
                return _read(path, step), notes
        except _Unusable as reason:
            notes.append(f"{path} is skipped: {reason}")
    return None, notes


def newest_facts(folder: Path) -> dict[str, Any]:
    """The facts of the newest checkpoint of which they can be read, {} without one; its tensors are not read."""
    try:
        steps = sorted(_steps(folder), reverse=True)
    except (OSError, CheckpointError):
        # Reading the checkpoint itself tells of it.
        return {}
    return next((facts for step in steps if (facts := read_facts(folder / _name(step) / FACTS))), {})


def read_facts(file: Path) -> dict[str, Any]:
    """The plain values of a file of a run, {} when it is not there or cannot be read."""
    try:
        return _json(file, MAX_FACTS)
    except (OSError, _Unusable):
        return {}


def has_complete(folder: Path) -> bool:
    """Whether a checkpoint here is marked complete, usable or not. Raises CheckpointError."""
    with _disk_errors("the folder of checkpoints", folder):
        return any(_is_marked(folder / _name(step)) for step in _steps(folder))


@contextmanager
def _disk_errors(what: str, path: Path) -> Iterator[None]:
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
    with _disk_errors("the folder of checkpoints", folder):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            names = []
    return [int(name[5:]) for name in names if _is_name(name)]


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _old(path: Path) -> Path:
    # A checkpoint is renamed before it is removed, so that half of it is never taken for a complete one.
    return path.with_name(f".{path.name}.old")


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name == _name(int(name[5:]))


def _write(path: Path, checkpoint: CheckpointData, facts: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.mkdir()
        save_file(dict(checkpoint.tensors), part / TENSORS)
        (part / FACTS).write_text(facts, encoding="ascii")
        for path_to_sync in (part / TENSORS, part / FACTS, part):
            sync_to_disk(path_to_sync)
        sizes = {name: (part / name).stat().st_size for name in (TENSORS, FACTS)}
        files = {name: {"size": size, "sha256": sha256_of_file(part / name)} for name, size in sizes.items()}
        _put(part, path, json.dumps({"step": checkpoint.step, "files": files}, indent=1) + "\n")
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, path: Path, marker: str) -> None:
    if path.is_dir() and not path.is_symlink():
        # The same step, damaged or from an earlier run: replaced only now.
        os.replace(path, _old(path))
    try:
        os.replace(part, path)
        try:
            sync_to_disk(path.parent)
            write_atomic(path / MARKER, marker)
            sync_to_disk(path)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
    except OSError:
        if _old(path).is_dir():
            os.replace(_old(path), path)
        raise


def _folders(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_dir(follow_symlinks=False))


def _complete(folder: Path) -> list[int]:
    return [int(entry.name[5:]) for entry in _folders(folder) if _is_name(entry.name) and _is_marked(Path(entry.path))]


def _is_marked(path: Path) -> bool:
    # Not os.path.lexists: it reports an unreadable file as missing, and the checkpoint would be removed.
    try:
        (path / MARKER).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _remove_leftovers(folder: Path) -> None:
    complete = {_name(step) for step in _complete(folder)}
    for entry in list(_folders(folder)):
        if _LEFTOVER.fullmatch(entry.name) or (_is_name(entry.name) and entry.name not in complete):
            shutil.rmtree(entry.path)


def _read(path: Path, step: int) -> CheckpointData:
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise _Unusable("it is no folder")
    if not _is_marked(path):
        raise _Unusable(f"there is no {MARKER}: its writing was interrupted")
    marker = _json(path / MARKER, _MAX_MARKER)
    files = marker.get("files")
    if type(marker.get("step")) is not int or not isinstance(files, dict) or set(files) != {TENSORS, FACTS}:
        raise _Unusable(f"{MARKER} does not hold a step, and the sizes and hashes of {TENSORS} and {FACTS}")
    if marker["step"] != step:
        raise _Unusable(f"{MARKER} is of step {str(marker['step'])[:20]}")
    for name, stated in files.items():
        size = _file_size(path / name)
        expected_size = stated.get("size") if isinstance(stated, dict) else None
        if size != expected_size:
            raise _Unusable(f"{name} has {size} bytes, not {str(expected_size)[:20]}")
        if sha256_of_file(path / name) != stated.get("sha256"):
            raise _Unusable(f"{name} was altered: its hash is not that in {MARKER}")
    facts = _json(path / FACTS, MAX_FACTS)
    try:
        return CheckpointData(step, load_file(path / TENSORS), facts)
    except SafetensorError as error:
        reason = (str(error) or "damaged").splitlines()[0][:200]
        raise _Unusable(f"{TENSORS} is not a complete safetensors file ({reason})") from None


def _file_size(path: Path) -> int:
    """The size of a regular file; links (may point anywhere) and pipes (block) are refused."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise _Unusable(f"{path.name} is missing") from None
    if not stat.S_ISREG(status.st_mode):
        raise _Unusable(f"{path.name} is no regular file")
    return status.st_size


def _json(path: Path, limit: int) -> dict[str, Any]:
    if _file_size(path) > limit:
        raise _Unusable(f"{path.name} has more than {limit} bytes")
    try:
        content = json.loads(path.read_bytes(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise _Unusable(f"{path.name} is no JSON ({str(error).splitlines()[0][:80]})") from None
    if not isinstance(content, dict):
        raise _Unusable(f"{path.name} holds no JSON object")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value
