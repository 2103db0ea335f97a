"""Which text file is a clip's: the documented one, or none with a note that names the files."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from affectgpt.media.sidecar import SUFFIXES, find_sidecar


def find(folder: Path, *names: str, media: str = "clip.mp4") -> tuple[str | None, str]:
    for name in (media, *names):
        (folder / name).touch()
    path, notes = find_sidecar(folder / media)
    return path and path.name, "; ".join(notes)


@pytest.mark.parametrize(
    "name",
    [
        *(f"clip{suffix}" for suffix in SUFFIXES),
        *("clip.SRT", "clip.Srt", "clip.mp4.srt", "clip.MP4.SRT", "CLIP.srt", "clip.en.srt", "clip.EN.SRT"),
        *("clip.zh-Hans.srt", "clip.zh_CN.vtt", "clip.en-orig.vtt", "clip.eng.txt", "clip.mp4.en.srt", "clip.jpn.lrc"),
        *("clip.forced.srt", "clip.sdh.srt", "clip.cc.srt", "clip.default.srt", "clip.original.srt", "clip.hi.srt"),
        *("clip_en.srt", "clip-en.srt", "clip (English).srt", "clip [en].srt", "clip.eng.srt", "clip.pt-BR.srt"),
        *("clip.en-US.hi.vtt", "clip.en.forced.SRT", "CLIP_EN.SRT", "clip.forced.en.srt", "clip.mp4.forced.srt"),
        *("clip-zh-Hans.srt", "clip.auto.vtt", "clip.de.cc.vtt", "clip_English.srt", "clip.en_sdh.srt"),
        *("clip.en.forced.srt", "clip.en.sdh.srt", "clip.English.srt", "clip.es-419.vtt", "clip.zh-Hant-TW.srt"),
    ],
)
def test_one_file_is_found(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, name) == (name, "")


@pytest.mark.parametrize(
    "name",
    [
        *("clip2.srt", "other.srt", "clip.srt.bak", "._clip.srt", ".clip.srt", "clips.vtt"),
        *("clip.json", "myclip.srt", "clip.mp4.json", "clip.en.json"),
    ],
)
def test_other_files_are_not_its_own(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, name) == (None, "")


@pytest.mark.parametrize(
    "name", ["clip_final.srt", "clip.part2.srt", "clip.old.srt", "clip.1.srt", "clip - notes.txt", "clip.mp4.old.srt"]
)
def test_a_text_that_may_be_another_clips_is_named_unless_that_clip_is_there(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, name) == (None, f"not read, as the name is not the clip's with a language: {name}")
    assert find(tmp_path, f"{name[:-4]}.mp4") == (None, "")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["clip.srt", "clip.vtt"], "clip.srt"),
        (["clip.vtt", "clip.txt", "clip.en.srt"], "clip.vtt"),
        (["clip.mp4.srt", "clip.txt"], "clip.txt"),
        (["clip.mp4.srt", "clip.en.srt"], "clip.mp4.srt"),
        (["clip.en.srt", "clip.en.vtt"], "clip.en.srt"),
        (["clip.en.srt", "clip.en.forced.srt"], "clip.en.srt"),
        (["clip.en.srt", "clip.EN.vtt"], "clip.en.srt"),
        (["CLIP.srt", "clip.vtt"], "clip.vtt"),
        (["clip.en.forced.srt", "clip.en.sdh.vtt"], "clip.en.sdh.vtt"),
        (["clip.forced.srt", "clip.sdh.srt"], "clip.sdh.srt"),
        (["clip_en.srt", "clip.en.vtt"], "clip_en.srt"),
        (["clip.forced.srt", "clip.en.srt"], "clip.en.srt"),
    ],
)
def test_of_several_the_first_is_read_and_the_others_are_named(tmp_path: Path, names: list[str], expected: str) -> None:
    name, notes = find(tmp_path, *names)
    assert name == expected
    assert all(unread in notes for unread in names if unread != expected) and f"beside {expected}" in notes


def test_of_two_languages_none_is_read(tmp_path: Path) -> None:
    name, notes = find(tmp_path, "clip.en.srt", "clip.zh-Hans.srt")
    assert name is None
    assert notes == "no subtitle is read, as several fit: clip.en.srt, clip.zh-Hans.srt"


def test_a_form_that_is_not_read_is_named(tmp_path: Path) -> None:
    assert find(tmp_path, "clip.ass", "clip.en.ttml") == (
        None,
        "clip.ass is not read: subtitles are read from .srt, .vtt, .lrc, .txt; "
        "clip.en.ttml is not read: subtitles are read from .srt, .vtt, .lrc, .txt",
    )


def test_the_text_of_another_clip_is_left_to_it(tmp_path: Path) -> None:
    assert find(tmp_path, "clip.en.mp4", "clip.en.srt")[0] is None
    assert find_sidecar(tmp_path / "clip.en.mp4")[0] == tmp_path / "clip.en.srt"
    assert find(tmp_path, "TALK.MP4", "TALK.srt", media="talk.mp4")[0] is None
    assert find(tmp_path, "b.ts", "b.ts.srt", media="b.mp4")[0] is None


def test_a_name_is_the_same_in_both_forms_of_unicode(tmp_path: Path) -> None:
    for form, opposite in (("NFC", "NFD"), ("NFD", "NFC")):
        folder = tmp_path / form
        folder.mkdir()
        text = unicodedata.normalize(opposite, "Café.en.srt")
        assert find(folder, text, media=unicodedata.normalize(form, "Café.mp4")) == (text, "")


@pytest.mark.parametrize("folder", ["Subs", "subs", "Subtitles", "subtitles"])
@pytest.mark.parametrize("name", ["clip.srt", "clip.en.srt", "CLIP.ASS", "clip/2_English.srt"])
def test_texts_in_a_folder_of_subtitles_are_named(tmp_path: Path, folder: str, name: str) -> None:
    path = tmp_path / folder / name
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / folder / "clip2.srt").touch()
    assert find(tmp_path) == (None, f"not read, as it does not lie beside the clip: {folder}/{name}")
    assert find(tmp_path, "clip.vtt")[0] == "clip.vtt"


def test_folders_and_a_missing_folder_are_no_texts(tmp_path: Path) -> None:
    (tmp_path / "clip.srt").mkdir()
    assert find(tmp_path, "clip.vtt")[0] == "clip.vtt"
    assert find_sidecar(tmp_path / "nowhere" / "clip.mp4") == (None, [])


@pytest.mark.parametrize("seed", range(60))
def test_whatever_lies_beside_a_clip_is_read_or_named(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    languages = [
        "",
        ".en",
        ".fr",
        ".zh-Hans",
        ".pt-BR",
        ".deu",
        ".forced",
        "_en",
        "-fr",
        " (English)",
        ".en.sdh",
        ".cc",
    ]
    names = {
        "clip" + chance.choice(["", ".mp4"]) + chance.choice(languages) + chance.choice([*SUFFIXES, ".ass"])
        for _ in range(chance.randint(1, 5))
    }
    names = {name.upper().replace("CLIP", "clip") if chance.random() < 0.2 else name for name in names}
    name, notes = find(tmp_path, *names)
    assert all(candidate == name or candidate in notes for candidate in names)
    texts = [candidate for candidate in names if not candidate.lower().endswith(".ass")]
    assert name is not None or "no subtitle is read" in notes or not texts
