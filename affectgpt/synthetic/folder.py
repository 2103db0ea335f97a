"""The folder that synthetic clips are written to: what counts as one, and how a finished one takes its place."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from affectgpt.files.unfinished import unfinished
from affectgpt.registry.errors import DataError, RunError
from affectgpt.registry.messages import first_and_more
from affectgpt.synthetic.clip import ClipPlan
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.identity import Split

FACTS_FILE = "synthetic.json"
FORMAT = "affectgpt synthetic clips"
SUBTITLE_FILE = "subtitle_chieng.csv"
LABEL_FILE = "track2_train_mercaptionplus.csv"
DESCRIPTION_FILE = "track3_train_mercaptionplus.csv"

_OWN_FILES = {FACTS_FILE, SUBTITLE_FILE, LABEL_FILE, DESCRIPTION_FILE, "video"}
_OWN_VIDEO = re.compile(r"synth_(train|test)_\d{5,}\.mp4")


def _foreign_files(out: Path, present: set[str]) -> set[str]:
    foreign = present - _OWN_FILES
    if (out / "video").is_dir():
        videos = (entry.name for entry in (out / "video").iterdir())
        foreign |= {f"video/{name}" for name in videos if not _OWN_VIDEO.fullmatch(name)}
    return foreign


@dataclass(frozen=True)
class Layout:
    """How a folder of ours is told from others: the `format` that its [FACTS_FILE][] states, and what in it is not
    ours, `strangers(folder, names in it)`."""

    format: str
    foreign_files: Callable[[Path, set[str]], set[str]]


MER2025 = Layout(FORMAT, _foreign_files)


def check_replaceable(out: Path, layout: Layout = MER2025) -> None:
    """Raise DataError unless `out` is absent, empty, or holds synthetic clips in `layout` and nothing else."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError("the place for the clips is not a folder", where=str(out), hint="choose another folder")
    present = {entry.name for entry in out.iterdir()}
    if not present:
        return
    hint = "choose another folder, or move those files away"
    if not _is_marked(out / FACTS_FILE, layout):
        raise DataError(
            "the folder is not empty and was not written by this generator",
            where=str(out),
            found=first_and_more(sorted(present)),
            expected=f"no folder, an empty one, or one with a {FACTS_FILE} of an earlier run",
            hint=hint,
        )
    foreign = layout.foreign_files(out, present)
    if foreign:
        raise DataError(
            "the folder holds synthetic clips and other files, which replacing it would delete",
            where=str(out),
            found=first_and_more(sorted(foreign)),
            hint=hint,
        )


def _is_marked(path: Path, layout: Layout) -> bool:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and facts.get("format") == layout.format


@contextmanager
def replace_folder(out: Path, layout: Layout = MER2025) -> Iterator[Path]:
    """A new folder beside `out` to write into; it becomes `out` when the block ends without an exception.

    `out` is untouched until then. After an exception the new folder is removed; what a kill leaves of it, beside `out`
    under a name that starts with a dot, is removed by the next call for `out`. Raises DataError as
    [check_replaceable][] and when another process is writing there, RunError when the disk refuses.
    """
    out = out.resolve()
    check_replaceable(out, layout)
    try:
        with unfinished(out) as fresh:
            fresh.mkdir()
            yield fresh
            check_replaceable(out, layout)
    except OSError as error:
        raise RunError(
            "the clips cannot be written", where=str(out), found=str(error), hint="check space and permissions"
        ) from error


def write_tables(folder: Path, plans: Sequence[ClipPlan], *, seed: int, split: Split, difficulty: Difficulty) -> None:
    """Write the three CSV files of the MER2025 layout, and `synthetic.json`.

    `synthetic.json` records how the clips were made (seed, difficulty; per clip the face, the voice, the identity
    and the drawn levels). It is for analysis; no reader of labels looks at it.
    """
    subtitles = [(plan.name, *plan.subtitle) for plan in plans]
    labels = [(plan.name, f"[{', '.join(plan.labels)}]") for plan in plans]
    descriptions = [(plan.name, plan.description) for plan in plans]
    write_csv(folder / SUBTITLE_FILE, ("name", "english", "chinese"), subtitles)
    write_csv(folder / LABEL_FILE, ("name", "openset"), labels)
    write_csv(folder / DESCRIPTION_FILE, ("name", "reason"), descriptions)
    facts = {
        "format": FORMAT,
        "version": 1,
        "split": split,
        "seed": seed,
        "difficulty": asdict(difficulty),
        "clips": {plan.name: _facts(plan, split) for plan in plans},
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _facts(plan: ClipPlan, split: Split) -> dict[str, object]:
    levels = ("face_strength", "voice_strength", "face_share", "voice_share", "camera_noise", "voice_snr")
    return {
        "face": plan.combination.face,
        "voice": plan.combination.voice,
        "identity": f"{split}-{plan.identity:03d}",
        "seconds": plan.seconds,
        **{name: round(getattr(plan, name), 3) for name in levels},
        **({"without": sorted(plan.without)} if plan.without else {}),
    }


def write_csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Write a table in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
