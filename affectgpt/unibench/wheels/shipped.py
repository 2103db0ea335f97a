"""The wheels that are part of this package: published ones, with our own synonyms; not the official ones."""

from __future__ import annotations

from functools import lru_cache

from affectgpt.unibench.wheels.sector_lookup import SHIPPED, Synonyms, build_wheel, fingerprint
from affectgpt.unibench.wheels.wheel_file import read_wheels
from affectgpt.unibench.wheels.wheel_set import WheelSet

NAME = "affectgpt-lexicon"
WHEELS = ("plutchik", "parrott", "willcox", "geneva")


@lru_cache(maxsize=1)
def shipped_wheels() -> WheelSet:
    """The shipped wheels, read once per process. Scores on them are not comparable with published ones."""
    files = {name: read_wheels(SHIPPED / f"{name}.yaml") for name in (*WHEELS, "synonyms")}
    synonyms = Synonyms(files["synonyms"].synonyms)
    entries = [entry for name in WHEELS for entry in files[name].wheels]
    return WheelSet(
        name=NAME,
        wheels=tuple(build_wheel(entry, synonyms) for entry in entries),
        source="the affectgpt package",
        official=False,
        fingerprint=fingerprint(files),
        citations=tuple(entry.citation for entry in entries if entry.citation),
    )
