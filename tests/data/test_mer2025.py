from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgpt.data.example import Example
from affectgpt.data.mer2025 import find_subsets, parse_labels, read_mer2025
from affectgpt.registry.errors import DataError

LABELS, DESCRIPTIONS = "track2_train_mercaptionplus.csv", "track3_train_mercaptionplus.csv"
SUBTITLES = "subtitle_chieng.csv"


def dataset(folder: Path, videos: tuple[str, ...] = ("a.mp4",), **tables: str) -> Path:
    """A folder with empty `videos`, and the tables given by `labels`, `descriptions`, `subtitles`."""
    (folder / "video").mkdir()
    for name in videos:
        (folder / "video" / name).touch()
    for key, file in (("labels", LABELS), ("descriptions", DESCRIPTIONS), ("subtitles", SUBTITLES)):
        if key in tables:
            (folder / file).write_text(tables[key], encoding="utf-8")
    return folder


def test_three_tables_are_joined_by_name(tmp_path: Path) -> None:
    folder = dataset(
        tmp_path,
        ("a.mp4", "b.avi", "c.mkv", "unnamed.mp4"),
        labels="name,openset\na,\"['happy', 'calm']\"\nb,[]\n",
        descriptions='name,reason\nb,"Flat, ""tired""\nvoice."\nc,A smile.\n',
        subtitles="name,chinese,english\nb,你好,Hello\na,,\nz,没有,unused\n",
    )
    assert read_mer2025(folder) == [
        Example("a", folder / "video" / "a.mp4", "", ("happy", "calm"), ""),
        Example("b", folder / "video" / "b.avi", "Hello", ("neutral",), 'Flat, "tired"\nvoice.'),
        Example("c", folder / "video" / "c.mkv", "", (), "A smile."),
    ]
    assert read_mer2025(folder, language="chinese")[1].subtitle == "你好"


def test_labels_alone_and_descriptions_alone(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    labelled = dataset(tmp_path / "one", labels="name,openset\na,[happy]\n")
    described = dataset(tmp_path / "other", descriptions="name,reason\na,A smile.\n")
    assert [(e.labels, e.description) for e in read_mer2025(labelled)] == [(("happy",), "")]
    assert [(e.labels, e.description) for e in read_mer2025(described)] == [((), "A smile.")]


def test_a_table_of_subtitles_of_other_clips_is_told(tmp_path: Path) -> None:
    folder = dataset(tmp_path, labels="name,openset\na,[happy]\n", subtitles="name,english\na.mp4,Hello\n")
    with pytest.raises(DataError, match=r"no subtitle is of a clip"):
        read_mer2025(folder)
    (folder / SUBTITLES).write_text("name,english\n")
    assert read_mer2025(folder)[0].subtitle == ""


def test_byte_order_mark_and_extra_columns_are_no_obstacle(tmp_path: Path) -> None:
    folder = dataset(tmp_path, labels="\ufeffname,length,openset\na,3,[happy]\n")
    assert read_mer2025(folder)[0].labels == ("happy",)


def test_first_container_in_order_is_taken(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ("a.avi", "a.mp4"), labels="name,openset\na,[happy]\n")
    assert read_mer2025(folder)[0].video.name == "a.mp4"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("[a, b]", ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ('["a", "b c"]', ["a", "b c"]),
        (" a,b ,, a", ["a", "b"]),
        ("[]", []),
        ("['']", []),
        ("", []),
        ("[", []),
    ],
)
def test_parse_labels(text: str, labels: list[str]) -> None:
    assert parse_labels(text) == labels


@given(st.lists(st.text("abc xyz-", min_size=1).map(str.strip).filter(bool), max_size=6, unique=True))
def test_written_lists_parse_alike(labels: list[str]) -> None:
    assert parse_labels(str(labels)) == parse_labels(f"[{', '.join(labels)}]") == labels


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such dataset folder"):
        read_mer2025(tmp_path / "nowhere")


def test_no_label_file_names_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=SUBTITLES):
        read_mer2025(dataset(tmp_path, subtitles="name,english\na,Hello\n"))


def test_videos_that_are_not_there_are_counted_and_five_named(tmp_path: Path) -> None:
    rows = "".join(f"n{number},[happy]\n" for number in range(8))
    with pytest.raises(DataError, match=r"8: n0, n1, n2, n3, n4, \.\.\."):
        read_mer2025(dataset(tmp_path, labels="name,openset\n" + rows))


@pytest.mark.parametrize("name", ["../a", "..", "/etc/passwd", "x/a", "x\\a", "C:a", "", "a\tb"])
def test_names_that_leave_the_video_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not plain file names"):
        read_mer2025(dataset(tmp_path, labels=f"name,openset\na,[happy]\n{name},[calm]\n"))


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    folder = dataset(
        tmp_path,
        labels="name,openset\na,[happy]\na,[sad]\nb,[calm]\n",
        descriptions="clip,reason\na,A smile.\n",
        subtitles="name,english\n../x,Hello\n",
    )
    with pytest.raises(DataError) as caught:
        read_mer2025(folder)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for part in ("names that repeat", "columns clip, reason", "'../x'", "1: b"):
        assert part in text


@pytest.mark.parametrize("content", [b"name,openset\na,\xff\xfe\n", b"", b"name,openset\na," + b"x" * 1_000_001])
def test_unreadable_tables_are_data_errors(tmp_path: Path, content: bytes) -> None:
    folder = dataset(tmp_path)
    (folder / LABELS).write_bytes(content)
    with pytest.raises(DataError, match=LABELS):
        read_mer2025(folder)


def test_video_folder_missing(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_text("name,openset\na,[happy]\n")
    with pytest.raises(DataError, match="video"):
        read_mer2025(tmp_path)


def test_a_folder_holds_several_sets(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ("a.mp4", "b.mp4", "c.mp4"), labels="name,openset\na,[happy]\n")
    assert find_subsets(folder) == ["mercaptionplus"]
    for file, text in {
        "track2_train_ovmerd.csv": "name,openset\nb,[calm]\n",
        "track3_train_ovmerd.csv": "name,reason\nb,A voice.\n",
        "track_all_candidates.csv": "name\na\nc\n",
        "track2_test.csv": "name,openset\nc,[sad]\n",
    }.items():
        (folder / file).write_text(text)
    assert find_subsets(folder) == ["mercaptionplus", "ovmerd", "candidates", "test"]
    assert [example.name for example in read_mer2025(folder)] == ["a"]
    (example,) = read_mer2025(folder, subset="ovmerd")
    assert (example.name, example.labels, example.description) == ("b", ("calm",), "A voice.")
    assert [(e.name, e.labels, e.description) for e in read_mer2025(folder, subset="candidates")] == [
        ("a", (), ""),
        ("c", (), ""),
    ]
    assert [(e.name, e.labels) for e in read_mer2025(folder, subset="test")] == [("c", ())]


@pytest.mark.parametrize("part", ["ovmerd", "candidates", "test"])
def test_a_set_that_is_not_there_is_told(tmp_path: Path, part: Any) -> None:
    folder = dataset(tmp_path, labels="name,openset\na,[happy]\n")
    with pytest.raises(DataError, match=part):
        read_mer2025(folder, subset=part)


def test_sounds_and_faces_are_taken_where_they_are(tmp_path: Path) -> None:
    folder = dataset(tmp_path, ("a.mp4", "b.mp4"), labels="name,openset\na,[happy]\nb,[sad]\n")
    sound, faces = folder / "audio" / "a.wav", folder / "openface_face" / "b" / "b.npy"
    for path in (sound, faces, folder / "openface_face" / "a.npy", folder / "audio" / "b.mp3"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [(each.sound, each.faces) for each in read_mer2025(folder)] == [(sound, None), (None, faces)]
