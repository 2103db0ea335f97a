"""Generates a folder of synthetic clips in the layout of MER2025, on several processes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from affectgpt.registry.errors import ConfigError, Problem, join_names
from affectgpt.synthetic.clip import plan_clip, write_clip
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.folder import check_replaceable, replace_folder, write_tables
from affectgpt.synthetic.identity import SPLIT_CODE, Split
from affectgpt.synthetic.script import PARTS, Part
from affectgpt.workers.pool import run_tasks

MAX_CLIPS = 1_000_000
_DEFAULT = Difficulty()


def write_clips(
    out: Path,
    *,
    clips: int,
    seed: int,
    split: Split = "train",
    difficulty: Difficulty = _DEFAULT,
    without: Collection[str] = (),
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `clips` clips into the folder `out`, replacing an earlier set of synthetic clips there.

    A clip is decided by (`seed`, `split`, its index) alone: more clips or other `workers` leave it as it is. The two
    splits share no identity and no random stream, whatever their seeds. All clips lack what they are `without`, and
    their descriptions say nothing of it. `out` appears at once when all is written
    (see [folder.replace_folder][]). `progress(done, total)` is called after each clip. With `workers` above 1, a script
    that calls this needs the usual `if __name__ == "__main__":` guard; with 0 or 1 all is done in this process.

    Raises ConfigError for impossible arguments, DataError when `out` holds anything else, RunError when a worker
    dies or the disk refuses.
    """
    check_arguments(clips, seed, split, workers)
    parts = _parts(without)
    check_replaceable(Path(out).resolve())
    plans = [plan_clip(seed, split, index, difficulty, parts) for index in range(clips)]
    with replace_folder(Path(out)) as folder:
        (folder / "video").mkdir()
        tasks = [
            (folder / "video" / f"{plan.name}.mp4", seed, split, index, difficulty, parts)
            for index, plan in enumerate(plans)
        ]
        with run_tasks(write_clip, tasks, min(workers, clips)) as names:
            for count, _ in enumerate(names, 1):
                if progress is not None:
                    progress(count, clips)
        write_tables(folder, plans, seed=seed, split=split, difficulty=difficulty)


def check_arguments(clips: int, seed: int, split: str, workers: int, *, most: int = MAX_CLIPS) -> None:
    """Raise ConfigError, with every problem, for numbers that no set of clips can be written with."""
    problems = []
    for what, value, least, greatest in (
        ("clips", clips, 1, most),
        ("workers", workers, 0, 256),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
            problems.append(
                Problem(
                    f"unusable number of {what}" if what != "seed" else "unusable seed",
                    what,
                    repr(value),
                    f"a whole number from {least} to {greatest}",
                )
            )
    if not isinstance(split, str) or split not in SPLIT_CODE:
        problems.append(Problem("unknown split", "split", repr(split), join_names(SPLIT_CODE)))
    if problems:
        raise ConfigError.from_problems(problems)


def _parts(without: Collection[str]) -> frozenset[Part]:
    parts = frozenset(part for part in PARTS if part in without)
    if isinstance(without, str) or len(parts) < len(set(without)):
        raise ConfigError(
            "a clip has no such part", where="without", found=repr(without), expected=f"some of {join_names(PARTS)}"
        )
    if {"face", "subtitle"} <= parts and {"sound", "speech"} & parts:
        raise ConfigError(
            "nothing of the clips would be left",
            where="without",
            found=join_names(without),
            hint="keep the face, the speech or the subtitle",
        )
    return parts
