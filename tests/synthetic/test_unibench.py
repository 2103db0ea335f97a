"""The miniature benchmark: the layouts as distributed, labels that follow from the clip, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affectgpt.media.clip import Clip
from affectgpt.registry.errors import ConfigError, DataError
from affectgpt.synthetic.clips import write_clips
from affectgpt.synthetic.difficulty import Difficulty
from affectgpt.synthetic.label_sets import basic_label, valence
from affectgpt.synthetic.script import COMBINATIONS
from affectgpt.synthetic.unibench import matches_request, write_unibench
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import read_test_set

SHORT = Difficulty(seconds=(1.0, 1.2))
BY_FACE = {(example.face, example.voice): example for example in COMBINATIONS}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_emotion_has_a_word_in_every_set() -> None:
    for test_set in TEST_SETS.values():
        if test_set.task == "basic":
            assert {basic_label(combination, test_set) for combination in COMBINATIONS} == set(test_set.words)
    assert all(-1 <= valence(combination) <= 1 for combination in COMBINATIONS)
    assert Counter(valence(combination) > 0 for combination in COMBINATIONS if valence(combination)) == {
        True: 4,
        False: 10,
    }


@pytest.mark.parametrize("key", TEST_SETS)
def test_labels_follow_from_the_clip(benchmark_folder: Path, key: str) -> None:
    test_set = TEST_SETS[key]
    facts = json.loads((benchmark_folder / "synthetic.json").read_text())["clips"][key]
    for example in read_test_set(key, benchmark_folder):
        combination = BY_FACE[tuple(facts[example.name])]
        if test_set.task == "basic":
            assert example.labels == (basic_label(combination, test_set),)
        elif test_set.task == "sentiment":
            assert example.sentiment == pytest.approx(valence(combination) * test_set.bounds[1])
        else:
            assert example.labels == combination.labels


@pytest.mark.parametrize("key", TEST_SETS)
def test_label_archives_hold_pickled_dicts_with_other_splits(benchmark_folder: Path, key: str) -> None:
    test_set = TEST_SETS[key]
    if not test_set.corpus:
        return
    with np.load(benchmark_folder / test_set.folder / test_set.label_file, allow_pickle=True) as archive:
        corpora = {name: archive[name].item() for name in archive.files}
    names = {example.name for example in read_test_set(key, benchmark_folder)}
    assert all(set(entry) == {"emo", "val"} for corpus in corpora.values() for entry in corpus.values())
    extra_names = {name for corpus in corpora.values() for name in corpus} - names
    assert extra_names and (test_set.session or extra_names == set(corpora["train_corpus"]))
    videos = {path.stem for path in (benchmark_folder / test_set.folder / test_set.videos).iterdir()}
    assert videos == names | extra_names


def test_stored_media_are_those_of_the_video(benchmark_folder: Path) -> None:
    example = read_test_set("iemocap", benchmark_folder)[0]
    assert example.video.suffix == ".avi" and example.faces is not None
    clip, stored = Clip.open(example.video), np.load(example.faces)
    assert stored.dtype == np.uint8 and stored.shape[1:] == (112, 112, 3) and len(stored) >= 5
    faces, sound = clip.faces(len(stored)), Clip.open(example.video, sound=example.sound).waveform()
    assert faces is not None and sound is not None
    colours = np.array([image.mean((0, 1)) for image in faces.images])
    assert np.abs(stored.mean((1, 2))[:, ::-1] - colours).max() < 3, "the channels are stored as BGR"
    waveform = clip.waveform()
    assert waveform is not None and len(waveform) == len(sound) and np.abs(waveform - sound).max() < 1e-3


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip a set, seed 0. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("miniature") / "small"
    write_unibench(folder, clips_per_set=1, seed=0, workers=2, difficulty=SHORT)
    assert [path.name for path in folder.parent.iterdir()] == ["small"]
    return folder


def test_the_same_arguments_give_the_same_bytes(small: Path, tmp_path: Path) -> None:
    write_unibench(tmp_path / "other", clips_per_set=1, seed=0, workers=1, difficulty=SHORT)
    assert digests(small) == digests(tmp_path / "other")


def test_more_clips_leave_the_first_as_they_are(benchmark_folder: Path, tmp_path: Path) -> None:
    write_unibench(tmp_path / "few", clips_per_set=1, seed=5, workers=1, difficulty=SHORT)
    few, many = digests(tmp_path / "few"), digests(benchmark_folder)
    media = {name: digest for name, digest in few.items() if name.endswith((".mp4", ".avi", ".wav", ".npy"))}
    assert len(media) == 3 * (9 + 8) and all(many[name] == digest for name, digest in media.items())


def test_a_miniature_replaces_only_a_miniature(small: Path, synthetic_folder: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(small, tmp_path / "out"))
    write_unibench(out, clips_per_set=1, seed=1, workers=1, difficulty=SHORT)
    before = digests(out)
    assert before != digests(small)
    (out / "sims-process" / "mine.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"sims-process/mine\.txt"):
        write_unibench(out, clips_per_set=1, seed=0, workers=1, difficulty=SHORT)
    (out / "sims-process" / "mine.txt").unlink()
    with pytest.raises(DataError, match="was not written by this generator"):
        write_unibench(synthetic_folder, clips_per_set=1, seed=0, workers=1, difficulty=SHORT)
    with pytest.raises(DataError, match="was not written by this generator"):
        write_clips(out, clips=1, seed=0, workers=1)
    assert digests(out) == before


def test_a_written_miniature_is_known(small: Path, tmp_path: Path) -> None:
    assert matches_request(small, clips_per_set=1, seed=0)
    assert not matches_request(small, clips_per_set=2, seed=0)
    assert not matches_request(small, clips_per_set=1, seed=1)
    assert not matches_request(tmp_path, clips_per_set=1, seed=0)


@pytest.mark.parametrize(
    ("name", "value"), [("clips_per_set", 0), ("clips_per_set", 100_001), ("seed", -1), ("workers", -1)]
)
def test_impossible_arguments(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(ConfigError):
        write_unibench(tmp_path / "out", **{"clips_per_set": 1, "seed": 0, "workers": 1, name: value})
    assert not list(tmp_path.iterdir())
