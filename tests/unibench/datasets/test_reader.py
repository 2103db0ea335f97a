"""The nine layouts are read as distributed; what is wrong in one is told, all of it at once."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgpt.registry.errors import DataError
from affectgpt.unibench.datasets.layouts import TEST_SETS
from affectgpt.unibench.datasets.reader import find_test_sets, read_test_set

COUNTS = {
    "mer2023": 411,
    "mer2024": 1169,
    "meld": 2610,
    "iemocap": 1241,
    "cmumosi": 686,
    "cmumosei": 4659,
    "sims": 457,
    "simsv2": 1034,
    "ovmerdplus": 532,
}


@pytest.fixture
def folder(benchmark_folder: Path, tmp_path: Path) -> Any:
    """Copies one set's folder (or all) to change it."""

    def copy(key: str) -> Path:
        name = TEST_SETS[key].folder
        return Path(shutil.copytree(benchmark_folder / name, tmp_path / name))

    return copy


def refusal(key: str, root: Path, **options: bool) -> str:
    with pytest.raises(DataError) as caught:
        read_test_set(key, root, **options)
    return str(caught.value)


def relabel(folder: Path, key: str, change: dict[Any, Any], corpus: str = "") -> None:
    """Write the label archive again, its test corpus changed."""
    test_set = TEST_SETS[key]
    path = folder / test_set.label_file
    corpora = {name: value.item() for name, value in np.load(path, allow_pickle=True).items()}
    corpora[corpus or test_set.corpus] = change
    np.savez_compressed(path, allow_pickle=True, **corpora)


def test_the_table_is_that_of_the_paper_and_costs_no_numpy() -> None:
    assert {key: test_set.clips for key, test_set in TEST_SETS.items()} == COUNTS
    assert all(key == test_set.key for key, test_set in TEST_SETS.items())
    six = ("worried", "happy", "neutral", "angry", "surprise", "sad")
    seven = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
    words = {"mer2023": six, "mer2024": six, "meld": seven, "iemocap": ("happy", "sad", "neutral", "anger")}
    assert {key: test_set.words for key, test_set in TEST_SETS.items() if test_set.words} == words
    assert [key for key, test_set in TEST_SETS.items() if test_set.indexed] == ["meld", "iemocap"]
    bounds = {"cmumosi": 3, "cmumosei": 3, "sims": 1, "simsv2": 1}
    assert {key: test_set.bounds[1] for key, test_set in TEST_SETS.items() if test_set.task == "sentiment"} == bounds
    assert TEST_SETS["ovmerdplus"].task == "fine-grained" and TEST_SETS["iemocap"].session == "5"
    code = (
        "import sys, affectgpt.unibench.datasets.layouts as it; it.TEST_SETS['meld'];"
        "print(sorted({'torch', 'numpy', 'av'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("key", TEST_SETS)
def test_a_set_is_read_with_its_media(benchmark_folder: Path, key: str) -> None:
    test_set = TEST_SETS[key]
    examples = read_test_set(key, benchmark_folder)
    assert len(examples) == 3 and len({example.name for example in examples}) == 3
    facts = json.loads((benchmark_folder / "synthetic.json").read_text())["clips"][key]
    assert len(facts) == 3 + (key != "ovmerdplus"), "clips of other splits are there to be left out"
    for example in examples:
        assert example.name in facts and not example.name.startswith(("train", "Ses01"))
        assert example.video.parent == benchmark_folder / test_set.folder / test_set.videos
        assert example.sound == benchmark_folder / test_set.folder / test_set.sounds / f"{example.name}.wav"
        assert example.faces == benchmark_folder / test_set.folder / test_set.faces / f"{example.name}.npy"
        assert example.subtitle and example.subtitle.isascii() == (key != "mer2024")
        if test_set.task == "basic":
            assert len(example.labels) == 1 and example.labels[0] in test_set.words and example.sentiment is None
        elif test_set.task == "sentiment":
            assert not example.labels and example.sentiment is not None
            assert test_set.bounds[0] <= example.sentiment <= test_set.bounds[1]
        else:
            assert len(example.labels) > 1 and example.sentiment is None
    if test_set.task == "sentiment":
        assert 0.0 in [example.sentiment for example in examples]
    clip = examples[0].open()
    assert clip.frames(1) is not None and clip.waveform() is not None and clip.faces(2) is not None


@pytest.mark.parametrize("key", TEST_SETS)
def test_labels_need_no_media(benchmark_folder: Path, tmp_path: Path, key: str) -> None:
    test_set = TEST_SETS[key]
    with_media = read_test_set(key, benchmark_folder)
    (tmp_path / test_set.folder).mkdir()
    shutil.copy(benchmark_folder / test_set.folder / test_set.label_file, tmp_path / test_set.folder)
    for root in (tmp_path, tmp_path / test_set.folder):
        examples = read_test_set(key, root, media=False)
        assert [(e.name, e.labels, e.sentiment) for e in examples] == [
            (e.name, e.labels, e.sentiment) for e in with_media
        ]
        assert all(not e.subtitle and e.sound is None and e.faces is None for e in examples)
    assert test_set.subtitle_file in refusal(key, tmp_path) and test_set.videos in refusal(key, tmp_path)


def test_sets_are_found_by_their_folders(benchmark_folder: Path, tmp_path: Path) -> None:
    assert find_test_sets(benchmark_folder) == list(TEST_SETS)
    assert find_test_sets(benchmark_folder / "sims-process") == ["sims"]
    assert find_test_sets(tmp_path) == find_test_sets(tmp_path / "nowhere") == []


def test_a_set_is_not_read_from_the_folder_of_another(benchmark_folder: Path, folder: Any) -> None:
    assert "MELD is not there" in refusal("meld", benchmark_folder / "cmumosi-process")
    assert "sims-process" in refusal("mer2023", folder("sims").parent)
    renamed = folder("meld").rename(folder("cmumosi").parent / "mine")
    # Six sets have a label.npz.
    for key in TEST_SETS:
        assert f"{TEST_SETS[key].title} is not there" in refusal(key, renamed)
    (renamed.parent / "meld-process").symlink_to(renamed)
    assert len(read_test_set("meld", renamed.parent / "meld-process")) == 3
    with pytest.raises(DataError, match="did you mean 'meld'"):
        read_test_set("mled", benchmark_folder)


def test_labels_are_what_their_number_stands_for(folder: Any) -> None:
    for key in ("meld", "iemocap"):
        root, words = folder(key), TEST_SETS[key].words
        relabel(root, key, {f"Ses05_{n}": {"emo": np.int64(n), "val": -1} for n in range(len(words))})
        assert [example.labels for example in read_test_set(key, root, media=False)] == [(word,) for word in words]


WRONG = {
    ("meld", 7): "0 anger",
    ("meld", -1): "0 anger",
    ("meld", "joy"): "0 anger",
    ("meld", True): "0 anger",
    ("meld", 1.5): "0 anger",
    ("iemocap", 4): "3 anger",
    ("mer2023", 1): "worried",
    ("mer2023", "Happy"): "worried",
    ("mer2024", "joy"): "worried",
    ("mer2023", None): "worried",
    ("cmumosi", float("nan")): "-3 to 3",
    ("cmumosi", 3.5): "-3 to 3",
    ("sims", 1.5): "-1 to 1",
    ("simsv2", "0.5"): "-1 to 1",
    ("sims", True): "-1 to 1",
    ("cmumosei", float("-inf")): "-3 to 3",
}


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_labels_of_the_wrong_kind_are_refused(folder: Any, key: str, value: Any) -> None:
    root = folder(key)
    good = dict.fromkeys(("emo", "val"), 0) if TEST_SETS[key].indexed else {"emo": "happy", "val": 0.5}
    relabel(root, key, {"Ses05_good": good, "Ses05_bad": {"emo": value, "val": value}})
    text = refusal(key, root, media=False)
    assert "Ses05_bad" in text and "1: " in text and WRONG[key, value] in text and repr(value) in text


@pytest.mark.parametrize("key", ["meld", "mer2023", "sims"])
def test_a_text_that_a_value_holds_over_and_over_is_told_short(folder: Any, key: str) -> None:
    root = folder(key)
    value = ["x" * 1_000_000] * 100
    relabel(root, key, {name: {"emo": value, "val": value} for name in "ab"})
    tracemalloc.start()
    text = refusal(key, root, media=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "2: a: ['xxx" in text and len(text) < 2000 and peak < 30_000_000


def test_numbers_beyond_64_bits_are_refused(folder: Any) -> None:
    for key, number in (("sims", 10**400), ("meld", 10**5000), ("mer2023", -(10**5000))):
        root = folder(key)
        relabel(root, key, {"a": {"emo": number, "val": number}})
        assert "more than 64" in refusal(key, root, media=False)


def test_a_table_of_subtitles_of_other_clips_is_told(folder: Any) -> None:
    root = folder("meld")
    names = [example.name for example in read_test_set("meld", root)]
    table = root / "transcription-engchi-polish.csv"
    table.write_text("name,english\n" + "".join(f"{name}.mp4,Hello\n" for name in names))
    text = refusal("meld", root)
    assert "no subtitle is of a clip" in text and f"'{names[0]}.mp4'" in text
    table.write_text(f"name,english\nother,x\n{names[2]},Hello\n")
    assert [example.subtitle for example in read_test_set("meld", root)] == ["", "", "Hello"]
    table.write_text("name,english\n")
    assert [example.subtitle for example in read_test_set("meld", root)] == [""] * 3


def test_a_folder_is_no_clip(folder: Any) -> None:
    root = folder("mer2023")
    first, second, third = read_test_set("mer2023", root)
    first.video.unlink()
    first.video.with_suffix(".mp4").mkdir()
    assert second.sound is not None and third.faces is not None
    for path in (second.sound, third.faces):
        path.unlink()
        path.mkdir()
    text = refusal("mer2023", root)
    assert f"names without a video\n  found: 1: {first.name}" in text
    assert f"found: 1: {second.name}.wav" in text and f"found: 1: {third.name}.npy" in text


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\u202eb", "../../x", "a/b", "", " a", "a\0b", 5, "x\\y", "C:x"])
def test_names_that_lead_elsewhere_are_refused(folder: Any, name: Any) -> None:
    root = folder("meld")
    relabel(root, "meld", {"a": {"emo": 0, "val": 0}, name: {"emo": 0, "val": 0}})
    assert "not plain file names" in refusal("meld", root, media=False)


def test_names_that_lead_elsewhere_are_refused_in_tables(folder: Any) -> None:
    root = folder("ovmerdplus")
    (root / "ovlabel.csv").write_text("name,openset\n../../etc/passwd,[happy]\n")
    assert "not plain file names" in refusal("ovmerdplus", root, media=False)


def test_a_session_that_no_name_has_is_told(folder: Any) -> None:
    root = folder("iemocap")
    relabel(root, "iemocap", {name: {"emo": 0, "val": 0} for name in ("Ses05x", "Ses0", "SesXXx", "Ses04x")})
    text = refusal("iemocap", root, media=False)
    assert "2: Ses0, SesXXx" in text
    relabel(root, "iemocap", {"Ses04x": {"emo": 0, "val": 0}})
    assert "no test clip" in refusal("iemocap", root, media=False)


def test_an_open_vocabulary_may_be_empty_and_is_kept_as_written(folder: Any) -> None:
    root = folder("ovmerdplus")
    rows = ["\ufeffname,openset", 'a,"[\'Happy\', ""calm"", Happy]"', "b,[]", "c,", ""]
    (root / "ovlabel.csv").write_bytes("\r\n".join(rows).encode())
    assert [example.labels for example in read_test_set("ovmerdplus", root, media=False)] == [("Happy", "calm"), (), ()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_subtitles_in_the_encodings_of_their_owners(folder: Any, encoding: str, ends: str) -> None:
    root = folder("mer2024")
    path = root / "transcription_merge.csv"
    text = path.read_text(encoding="utf-8")
    words = [example.subtitle for example in read_test_set("mer2024", root)]
    path.write_bytes(ends.join(text.splitlines()).encode(encoding))
    assert [example.subtitle for example in read_test_set("mer2024", root)] == words and not words[0].isascii()


def test_what_need_not_be_there(folder: Any) -> None:
    root = folder("sims")
    names = [example.name for example in read_test_set("sims", root)]
    with (root / "transcription-engchi-polish.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "english"), (names[1], "Hello")])
    shutil.rmtree(root / "audio")
    (root / "openface_face" / f"{names[0]}.npy").unlink()
    examples = read_test_set("sims", root)
    assert [example.subtitle for example in examples] == ["", "Hello", ""]
    assert [example.sound for example in examples] == [None] * 3
    assert [example.faces is None for example in examples] == [True, False, False]


def test_all_problems_come_at_once(folder: Any) -> None:
    root = folder("mer2023")
    first, second, _ = read_test_set("mer2023", root)
    relabel(
        root,
        "mer2023",
        {
            first.name: {"emo": "sad"},
            second.name: {"emo": 3},
            "lost": {"emo": "sad"},
            "none": {"val": 1},
        },
    )
    (root / "transcription-engchi-polish.csv").write_text(f"name,chinese\n{first.name},x\n")
    with pytest.raises(DataError) as caught:
        read_test_set("mer2023", root)
    assert len(caught.value.problems) == 4
    for words in ("no column english", "1: lost", "'emo'", f"{second.name}: 3"):
        assert words in str(caught.value)


@pytest.mark.parametrize("key", ["meld", "iemocap"])
def test_a_label_file_of_another_set_is_refused(folder: Any, key: str) -> None:
    root = folder(key)
    np.savez(root / TEST_SETS[key].label_file, allow_pickle=True, train_corpus={"a": {"emo": 0}}, others=np.arange(3))
    text = refusal(key, root, media=False)
    assert "others, train_corpus" in text and TEST_SETS[key].corpus in text
    np.savez(root / TEST_SETS[key].label_file, **{TEST_SETS[key].corpus: np.arange(3)})
    assert "ndarray" in refusal(key, root, media=False)
    (root / TEST_SETS[key].label_file).write_bytes(b"words")
    assert "cannot be read" in refusal(key, root, media=False)
    (root / TEST_SETS[key].label_file).unlink()
    assert "no label file" in refusal(key, root, media=False)


def test_an_avi_is_taken_where_there_is_no_mp4(benchmark_folder: Path, folder: Any) -> None:
    assert {example.video.suffix for example in read_test_set("mer2023", benchmark_folder)} == {".mp4", ".avi"}
    root = folder("meld")
    clip = read_test_set("meld", root)[0].video
    clip.rename(clip.with_suffix(".avi"))
    assert clip.stem in refusal("meld", root)
