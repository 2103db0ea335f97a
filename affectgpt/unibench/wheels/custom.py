"""Wheels of a reader's own, from one YAML file in the same form as the shipped ones."""

from __future__ import annotations

from pathlib import Path

from affectgpt.registry.errors import DataError
from affectgpt.unibench.wheels.sector_lookup import Synonyms, build_wheel, fingerprint, shipped_synonyms
from affectgpt.unibench.wheels.wheel_file import WheelFile, read_wheels
from affectgpt.unibench.wheels.wheel_set import WheelSet


def read_wheel_file(path: str | Path) -> WheelSet:
    """The wheels of a YAML file. Its synonyms come before the shipped ones, which `shipped_synonyms: false` leaves out.

    Raises DataError holding every problem found, each with its line.
    """
    path = Path(path)
    file = read_wheels(path)
    if not file.wheels:
        raise DataError("the file holds no wheel", where=str(path), expected="wheels: a list of at least one wheel")
    groups = (*file.synonyms, *(shipped_synonyms() if file.shipped_synonyms else ()))
    synonyms = Synonyms(groups)
    content = {"wheels": file.model_copy(update={"name": None}), "synonyms": WheelFile(synonyms=list(groups))}
    return WheelSet(
        name=file.name or path.stem,
        wheels=tuple(build_wheel(entry, synonyms) for entry in file.wheels),
        source=str(path),
        official=False,
        fingerprint=fingerprint(content),
        citations=tuple(entry.citation for entry in file.wheels if entry.citation),
    )
