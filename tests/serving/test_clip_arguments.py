from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affectgpt.registry.errors import ConfigError, MediaError
from affectgpt.serving.clip_arguments import check_counts, check_texts, read_argument

CLIP = Path(__file__).resolve().parents[2] / "examples" / "clips" / "astronaut_voice.mp4"


@pytest.mark.parametrize("content", [b"media", bytearray(b"media"), memoryview(b"media")])
def test_the_content_of_a_file_is_one_clip(content: Any) -> None:
    assert read_argument(content) == ([b"media"], True)
    assert read_argument([content, CLIP]) == ([b"media", CLIP], False)


def test_an_iterator_of_paths_is_a_list_of_clips() -> None:
    assert read_argument(name for name in ("a.mp4", "b.mp4")) == (["a.mp4", "b.mp4"], False)
    assert read_argument([]) == ([], False)


@pytest.mark.parametrize("what", [None, 3, [None], [CLIP, 3], {"a": CLIP}, io.BytesIO(b"media"), [io.BytesIO()]])
def test_what_is_no_clip_is_refused(what: Any) -> None:
    with pytest.raises(ConfigError, match="what: this is no clip"):
        read_argument(what)


def test_an_open_file_is_not_taken_for_its_lines() -> None:
    with CLIP.open("rb") as file, pytest.raises(ConfigError, match=r"file\.read\(\)"):
        read_argument(file)


def test_an_empty_path_is_not_the_working_folder() -> None:
    with pytest.raises(MediaError, match="the path is empty"):
        read_argument("")


def test_a_name_that_is_too_long_is_a_path() -> None:
    assert read_argument("x" * 5000) == ([Path("x" * 5000)], True)


@pytest.mark.parametrize("texts", [(["a", "b"], None), (3, None), (None, ["a"]), (None, 3)])
def test_texts_are_those_of_every_clip(texts: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="one text for every clip"):
        check_texts(*texts)


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 0), (-1, 0), ("8", 0), (1.0, 0), (8, -1), (8, None)])
def test_counts_are_in_range(batch_size: Any, workers: Any) -> None:
    with pytest.raises(ConfigError, match=r"^(batch_size|workers): the number is out of range"):
        check_counts(batch_size, workers)


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the package logs during the test."""
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("affectgpt")
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.WAV", "notes.txt", "._b.mp4", ".DS_Store", "Thumbs.db", "desktop.ini", "a.srt"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_of_a_folder_only_media_files_are_described(folder: Path, messages: list[str]) -> None:
    assert read_argument(folder) == ([folder / "a.WAV", folder / "b.mp4"], False)
    assert not messages


def test_what_is_left_out_of_a_folder_is_said(folder: Path, messages: list[str]) -> None:
    for name in ("sub", "further", ".git", "__MACOSX"):
        (folder / name).mkdir()
        (folder / name / "c.mp4").touch()
    (folder / ".c.mp4").touch()
    assert read_argument(folder) == ([folder / "a.WAV", folder / "b.mp4"], False)
    assert messages == [f"{folder}: left out hidden files: 1: .c.mp4; folders, which are not entered: 2: further, sub"]


def test_a_folder_of_folders_names_one_with_media(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "top" / "empty").mkdir(parents=True)
    (tmp_path / "top" / "some").mkdir()
    (tmp_path / "top" / "some" / "c.mp4").touch()
    (tmp_path / "top" / "._c.mp4").touch()
    with pytest.raises(MediaError, match=r"(?s)folders, which are not entered: 2: empty, some.*top/some, which holds"):
        read_argument(tmp_path / "top")
