"""Writes miniatures of the nine test sets of MER-UniBench, each in its own layout, from synthetic clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectgpt.media.clip import SAMPLE_RATE, Clip
from affectgpt.synthetic.clip import ClipPlan, plan_clip, write_clip
from affectgpt.synthetic.clips import check_arguments
from affectgpt.synthetic.container import write_wav
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.folder import FACTS_FILE, Layout, check_replaceable, replace_folder, write_csv
from affectgpt.synthetic.label_sets import basic_label, valence
from affectgpt.synthetic.script import COMBINATIONS
from affectgpt.unibench.datasets.layouts import TEST_SETS, TestSet
from affectgpt.workers.pool import run_tasks

FORMAT = "affectgpt synthetic benchmark"
MAX_CLIPS_PER_SET = 100_000
FACE_SIZE, FACES_PER_SECOND = 112, 6

_SPACING = 10 * MAX_CLIPS_PER_SET
_BLOCK = len(COMBINATIONS)
_DEFAULT = Difficulty(seconds=(2.0, 4.0))

_NAMES = {
    "mer2023": ("sample_{:08d}", "trainsample_{:08d}"),
    "mer2024": ("samplenew_{:08d}", "trainsample_{:08d}"),
    "iemocap": ("Ses05F_impro01_F{:05d}", "Ses01M_impro01_M{:05d}"),
    "meld": ("testdia{}_utt0", "traindia{}_utt0"),
    "cmumosi": ("synthmosi_{}", "trainmosi_{}"),
    "cmumosei": ("synthmosei_{}", "trainmosei_{}"),
    "sims": ("video_0001_{:05d}", "video_0002_{:05d}"),
    "simsv2": ("aqgy3_0001_{:05d}", "aqgy3_0002_{:05d}"),
    "ovmerdplus": ("ovsample_{:08d}", ""),
}
"""Patterns of clip names: of the test clips, and of those of other splits (OV-MERD+ has none)."""


@dataclass(frozen=True)
class _Planned:
    name: str
    index: int
    plan: ClipPlan
    tested: bool
    suffix: str


def write_unibench(
    out: Path,
    *,
    clips_per_set: int,
    seed: int,
    workers: int = 2,
    difficulty: Difficulty = _DEFAULT,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the folders of all nine test sets into `out`, replacing an earlier miniature there.

    Each holds `clips_per_set` test clips and a quarter as many of other splits (at least one), which a reader leaves
    out: videos, sounds, arrays of face pictures, subtitles, and labels that follow from the clip's emotion. No clip
    is in two sets. From two clips on, each sentiment set has a clip whose value is exactly 0. A clip is decided by
    (`seed`, its set, its place) alone. All else as [write_clips][affectgpt.synthetic.clips.write_clips].
    """
    check_arguments(clips_per_set, seed, "test", workers, most=MAX_CLIPS_PER_SET)
    check_replaceable(Path(out).resolve(), LAYOUT)
    planned = {key: list(_plan(test_set, clips_per_set, seed, difficulty)) for key, test_set in TEST_SETS.items()}
    with replace_folder(Path(out), LAYOUT) as folder:
        for key, test_set in TEST_SETS.items():
            for part in (test_set.videos, test_set.sounds, test_set.faces):
                (folder / test_set.folder / part).mkdir(parents=True)
            _write_tables(folder / test_set.folder, test_set, planned[key])
        tasks = [
            (folder, key, plan.name, plan.suffix, seed, plan.index, difficulty)
            for key in TEST_SETS
            for plan in planned[key]
        ]
        with run_tasks(_write_media, tasks, min(workers, len(tasks))) as results:
            for count, _ in enumerate(results, 1):
                if progress is not None:
                    progress(count, len(tasks))
        _write_facts(folder, planned, seed, difficulty)


def _plan(test_set: TestSet, clips: int, seed: int, difficulty: Difficulty) -> Iterator[_Planned]:
    test_pattern, extra_pattern = _NAMES[test_set.key]
    start = list(TEST_SETS).index(test_set.key) * _SPACING
    selected: list[tuple[int, ClipPlan]] = []
    for block in range(start, start + clips, _BLOCK):
        # Each run of 16 clips holds every emotion: one whose value is not 0, then one whose value is, then the others.
        pool = [(index, plan_clip(seed, "test", index, difficulty)) for index in range(block, block + _BLOCK)]
        zero = next(entry for entry in pool if valence(entry[1].combination) == 0)
        nonzero = next(entry for entry in pool if valence(entry[1].combination) != 0)
        selected += [nonzero, zero, *(entry for entry in pool if entry not in (nonzero, zero))]
    for position, (index, plan) in enumerate(selected[:clips]):
        suffix = test_set.suffixes[position % len(test_set.suffixes)]
        yield _Planned(test_pattern.format(position), index, plan, True, suffix)
    for position in range(max(1, clips // 4) if extra_pattern else 0):
        index = start + _SPACING // 2 + position
        plan = plan_clip(seed, "test", index, difficulty)
        yield _Planned(extra_pattern.format(position), index, plan, False, test_set.suffixes[0])


def _write_media(root: Path, key: str, name: str, suffix: str, seed: int, index: int, difficulty: Difficulty) -> None:
    test_set = TEST_SETS[key]
    folder = root / test_set.folder
    video = folder / test_set.videos / f"{name}{suffix}"
    write_clip(video, seed, "test", index, difficulty)
    clip = Clip.open(video, subtitle="")
    waveform, faces = clip.waveform(), clip.faces(max(1, round(clip.duration * FACES_PER_SECOND)))
    assert waveform is not None and faces is not None
    write_wav(folder / test_set.sounds / f"{name}.wav", waveform, SAMPLE_RATE)
    size = (FACE_SIZE, FACE_SIZE)
    pictures = [cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1] for image in faces.images]
    np.save(folder / test_set.faces / f"{name}.npy", np.stack(pictures))


def _write_tables(folder: Path, test_set: TestSet, planned: list[_Planned]) -> None:
    words = {"english": 0, "sentence": 0, "chinese": 1}
    columns = ("sentence",) if test_set.subtitle_column == "sentence" else ("chinese", "english")
    rows = [(entry.name, *(entry.plan.subtitle[words[column]] for column in columns)) for entry in planned]
    write_csv(folder / test_set.subtitle_file, ("name", *columns), rows)
    if test_set.task == "fine-grained":
        labels = [(entry.name, f"[{', '.join(entry.plan.combination.labels)}]") for entry in planned]
        write_csv(folder / test_set.label_file, ("name", "openset"), labels)
        return
    tested = {entry.name: _entry(test_set, entry.plan) for entry in planned if entry.tested}
    untested = {entry.name: _entry(test_set, entry.plan) for entry in planned if not entry.tested}
    corpora: dict[str, Any] = {"train_corpus": untested, "val_corpus": {}, test_set.corpus: tested}
    if test_set.session:
        corpora = {test_set.corpus: {**untested, **tested}}
    np.savez_compressed(folder / test_set.label_file, allow_pickle=True, **corpora)


def _entry(test_set: TestSet, plan: ClipPlan) -> dict[str, str | int | float]:
    value = valence(plan.combination)
    if test_set.task == "sentiment":
        return {"emo": 0, "val": round(value * test_set.bounds[1], 3)}
    label = basic_label(plan.combination, test_set)
    return {"emo": test_set.words.index(label) if test_set.indexed else label, "val": value}


def _write_facts(folder: Path, planned: dict[str, list[_Planned]], seed: int, difficulty: Difficulty) -> None:
    facts = {
        "format": FORMAT,
        "version": 1,
        "seed": seed,
        "difficulty": asdict(difficulty),
        "clips": _combinations(planned),
        "files": sorted(_files(folder)),
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def _strangers(folder: Path, present: set[str]) -> set[str]:
    files = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8")).get("files")
    own_names = {name for name in files if isinstance(name, str)} if isinstance(files, list) else set()
    return _files(folder) - own_names - {FACTS_FILE}


LAYOUT = Layout(FORMAT, _strangers)


def matches_request(folder: Path, *, clips_per_set: int, seed: int) -> bool:
    """Whether `folder` holds the data sets that [write_unibench][] writes for these arguments."""
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        planned = {key: list(_plan(each, clips_per_set, seed, _DEFAULT)) for key, each in TEST_SETS.items()}
        return bool(facts["format"] == FORMAT and facts["seed"] == seed and facts["clips"] == _combinations(planned))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _combinations(planned: dict[str, list[_Planned]]) -> dict[str, dict[str, list[str]]]:
    return {
        key: {each.name: [each.plan.combination.face, each.plan.combination.voice] for each in planned[key]}
        for key in planned
    }
