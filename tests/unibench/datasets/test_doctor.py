"""What the doctor says of healthy and of damaged folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench.datasets.doctor import DatasetHealth, DoctorReport, inspect_folder
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import read_test_set


def only(report: DoctorReport) -> DatasetHealth:
    (health,) = report.sets
    return health


def problems(report: DoctorReport) -> str:
    return "\n".join(str(problem) for dataset in report.sets for problem in dataset.problems)


@pytest.fixture
def meld(benchmark_folder: Path, tmp_path: Path) -> Path:
    """A copy of one set; its number of clips is not that of the benchmark."""
    return Path(shutil.copytree(benchmark_folder / "meld-process", tmp_path / "meld-process"))


def test_a_healthy_benchmark(benchmark_folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    report = inspect_folder(benchmark_folder, progress=lambda *each: calls.append(each))
    assert report.healthy and report.kind == "benchmark" and report.missing == ()
    assert [dataset.key for dataset in report.sets] == list(TEST_SETS)
    assert sorted(calls) == sorted((dataset.title, done, 3) for dataset in TEST_SETS.values() for done in (1, 2, 3))
    for dataset in report.sets:
        counts = (dataset.named, dataset.clips, dataset.subtitles, dataset.sounds, dataset.faces, dataset.decoded)
        assert counts == (3,) * 6 and dataset.expected is None and not dataset.notes
        assert dataset.seconds is not None and 3 <= dataset.seconds <= 4
        if dataset.task == "sentiment":
            assert dataset.labels["zero"] == 1 and sum(dataset.labels.values()) == 3
        elif dataset.task == "basic":
            assert sum(dataset.labels.values()) == 3 and set(dataset.labels) <= set(TEST_SETS[dataset.key].words)
        else:
            examples = read_test_set(dataset.key, benchmark_folder)
            assert dataset.labels == {label: 1 for example in examples for label in example.labels}
    assert json.loads(json.dumps(report.as_json()))["sets"][0]["clips"] == 3


def test_nothing_is_decoded_unless_asked(benchmark_folder: Path) -> None:
    report = inspect_folder(benchmark_folder / "sims-process", decode=False)
    assert report.kind == "data set" and report.missing == ()
    assert (only(report).decoded, only(report).seconds, only(report).key) == (None, None, "sims")


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_that_is_wrong_is_told(meld: Path, workers: int) -> None:
    first, second, third = (dataset.name for dataset in read_test_set("meld", meld))
    (meld / "subvideo" / f"{first}.mp4").unlink()
    (meld / "subaudio" / f"{second}.wav").unlink()
    np.save(meld / "openface_face" / f"{second}.npy", np.zeros((2, 3), np.uint8))
    video = meld / "subvideo" / f"{third}.mp4"
    video.write_bytes(video.read_bytes()[:1000])
    health = only(report := inspect_folder(meld, workers=workers))
    text = problems(report)
    assert not report.healthy and len(health.problems) == 4
    for words in (
        f"1: {first}",
        "found: 3\n  expected: 2,610",
        f"{second}.npy: the array of faces is of another kind",
        str(video),
    ):
        assert words in text
    assert (health.named, health.clips, health.sounds, health.faces, health.decoded) == (3, 2, 1, 2, 0)
    assert health.notes == (f"1 of 2 clips without separate sound: {second}",)


def test_clips_with_one_fault_are_told_together(meld: Path) -> None:
    for video in (meld / "subvideo").iterdir():
        video.write_bytes(b"words")
    health = only(inspect_folder(meld, workers=1))
    assert [problem.what for problem in health.problems][1:] == ["3 clips: the file cannot be opened as media"]


def test_a_sound_that_cannot_be_decoded_is_told(meld: Path) -> None:
    (meld / "subaudio" / f"{read_test_set('meld', meld)[0].name}.wav").write_bytes(b"words")
    assert ".wav: the file cannot be opened as media" in problems(inspect_folder(meld, workers=1))


def emptied(path: Path) -> None:
    """The file keeps its header, its frames and its sound are lost."""
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    end = data.find(b"moov", start) - 4
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])


def test_what_only_decoding_shows(meld: Path) -> None:
    for example in read_test_set("meld", meld):
        emptied(example.video)
    assert len(only(inspect_folder(meld, decode=False)).problems) == 1
    health = only(inspect_folder(meld, workers=1))
    assert health.decoded == 0 and "3 clips:" in problems(inspect_folder(meld, workers=1))


def test_a_sound_of_which_nothing_can_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "clips.csv").write_text("clip\nsound.mp4\n")
    assert inspect_folder(tmp_path / "clips.csv", workers=1).healthy
    emptied(path)
    assert "no sound could be decoded" in problems(inspect_folder(tmp_path / "clips.csv", workers=1))


def test_a_table_of_subtitles_without_a_row_is_noted(meld: Path) -> None:
    (meld / "transcription-engchi-polish.csv").write_text("name,english\n")
    report = inspect_folder(meld, decode=False)
    assert len(only(report).problems) == 1, "the number of clips"
    assert any(note.startswith("3 of 3 clips without subtitle: ") for note in only(report).notes)
    (meld / "transcription-engchi-polish.csv").write_text("name,english\nother,x\n")
    assert "no subtitle is of a clip" in problems(inspect_folder(meld, decode=False))


def written_sound(path: Path, seconds: float) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac" if path.suffix == ".mp4" else "pcm_s16le", rate=16000, layout="mono")
        samples = np.zeros((1, int(16000 * seconds)), np.float32 if path.suffix == ".mp4" else np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp" if path.suffix == ".mp4" else "s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_video_that_is_only_sound_is_told(meld: Path) -> None:
    video = meld / "subvideo" / f"{read_test_set('meld', meld)[0].name}.mp4"
    written_sound(video, 1)
    text = problems(inspect_folder(meld, workers=1))
    assert f"{video}: the video holds no picture" in text
    assert "picture" not in problems(inspect_folder(meld, decode=False))


@pytest.mark.parametrize(("seconds", "noted"), [(120, True), (2.4, True), (1.3, False), (0.5, False)])
def test_a_sound_of_another_length_is_noted(meld: Path, seconds: float, noted: bool) -> None:
    first = read_test_set("meld", meld)[0]
    written_sound(meld / "subaudio" / f"{first.name}.wav", seconds)
    notes = [note for note in only(inspect_folder(meld, workers=1)).notes if "differ in length" in note]
    assert bool(notes) == noted and all(note.startswith("1 of 3") and note.endswith(first.name) for note in notes)


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ((1, 1), "under 16"),
        ((2, 5000), "under 16"),
        ((15, 15), "under 16"),
        ((16, 16), ""),
        ((40, 160), "over 3 times"),
        ((160, 40), "over 3 times"),
        ((112, 100), ""),
    ],
)
def test_faces_that_cannot_be_faces_are_noted(meld: Path, side: tuple[int, int], words: str) -> None:
    for example in read_test_set("meld", meld):
        assert example.faces is not None
        np.save(example.faces, np.zeros((2, *side, 3), np.uint8))
    notes = [note for note in only(inspect_folder(meld, workers=1)).notes if "face" in note]
    assert len(notes) == bool(words) and all(words in note and note.startswith("3 of 3") for note in notes)


def test_a_folder_is_no_clip_even_undecoded(meld: Path) -> None:
    video = read_test_set("meld", meld)[0].video
    video.unlink()
    video.mkdir()
    health = only(report := inspect_folder(meld, decode=False))
    assert health.clips == 2 and f"1: {video.stem}" in problems(report)


def test_labels_that_cannot_be_read_do_not_stop_the_others(benchmark_folder: Path, tmp_path: Path) -> None:
    for name in ("meld-process", "sims-process"):
        shutil.copytree(benchmark_folder / name, tmp_path / name)
    shutil.copy(benchmark_folder / "synthetic.json", tmp_path)
    (tmp_path / "meld-process" / "label.npz").write_bytes(b"words")
    report = inspect_folder(tmp_path, decode=False)
    assert [(dataset.key, dataset.clips, len(dataset.problems)) for dataset in report.sets] == [
        ("meld", 0, 1),
        ("sims", 3, 0),
    ]
    assert set(report.missing) == {test_set.folder for test_set in TEST_SETS.values()} - {
        "meld-process",
        "sims-process",
    }


def test_a_training_folder(synthetic_folder: Path, tmp_path: Path) -> None:
    report = inspect_folder(synthetic_folder, decode=False)
    health = only(report)
    assert report.healthy and (health.key, health.clips, health.subtitles) == ("mer2025-mercaptionplus", 32, 32)
    assert sum(health.labels.values()) > 32
    shutil.copytree(synthetic_folder, tmp_path / "mer2025-dataset")
    (tmp_path / "mer2025-dataset" / "track2_test.csv").write_text("name\nlost\n")
    report = inspect_folder(tmp_path, decode=False)
    assert [dataset.key for dataset in report.sets] == ["mer2025-mercaptionplus", "mer2025-test"]
    assert "1: lost" in problems(report)


@pytest.mark.parametrize("name", ["clips.csv", "clips.txt"])
def test_a_manifest(synthetic_folder: Path, tmp_path: Path, name: str) -> None:
    video = min((synthetic_folder / "video").iterdir())
    path = tmp_path / name
    path.write_text(f"clip,labels,sentiment\n{video},[happy],0.5\nlost.mp4,,\n")
    if name.endswith(".txt"):
        with pytest.raises(DataError, match="no data set is found"):
            inspect_folder(path)
        assert "no manifest" in problems(inspect_folder(path, manifest=True))
        return
    report = inspect_folder(path, workers=1)
    health = only(report)
    assert (health.named, health.clips, health.decoded) == (2, 1, 1)
    assert health.labels == {"happy": 1, "positive": 1} and "lost.mp4" in problems(report)


def test_a_place_without_data_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    places = {tmp_path: "notes.txt", tmp_path / "nowhere": "nothing", tmp_path / "notes.txt": "a file"}
    for path, words in places.items():
        with pytest.raises(DataError, match=words) as caught:
            inspect_folder(path)
        assert "meld-process" in str(caught.value)


@pytest.mark.parametrize("facts", ["[]", "{}", "words", '{"format": 5}', "[" * 100_000])
def test_only_a_miniature_may_have_fewer_clips(meld: Path, facts: Any) -> None:
    (meld.parent / "synthetic.json").write_text(facts)
    assert only(inspect_folder(meld, decode=False)).expected == 2610
