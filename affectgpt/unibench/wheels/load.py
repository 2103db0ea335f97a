"""Which wheels a score rests on: the shipped ones, the official ones from a folder, or a reader's own file."""

from __future__ import annotations

from pathlib import Path

from affectgpt.registry.errors import DataError
from affectgpt.unibench.wheels.custom import read_wheel_file
from affectgpt.unibench.wheels.official import read_official
from affectgpt.unibench.wheels.shipped import shipped_wheels
from affectgpt.unibench.wheels.wheel_set import WheelSet

EXPECTED = "nothing (the shipped wheels), the folder of the official wheels, or a .yaml file of your own wheels"


def load_wheels(value: str | Path | None) -> WheelSet:
    """None: [shipped_wheels][]; a folder: [read_official][]; a .yaml or .yml file: [read_wheel_file][].

    Raises DataError for anything else, and for a folder or file that is not what it should be.
    """
    if value is None:
        return shipped_wheels()
    path = Path(value)
    try:
        if str(value).strip() and path.is_dir():
            return read_official(path)
    except (OSError, ValueError) as error:
        raise DataError("the wheels cannot be read", where=str(value), found=str(error), expected=EXPECTED) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_wheel_file(path)
    what = "this is not a file of wheels" if path.is_file() else "there are no wheels here"
    raise DataError(what, where=str(value), found=path.suffix, expected=EXPECTED)
