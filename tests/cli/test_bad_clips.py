"""Bad clips and models for `describe`: errors that say what and where, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_no_such_clip(place: Any, refused: Callable) -> None:
    refused(place.describe("gone.mp4"), "gone.mp4", "no such file")


def test_text_called_mp4(place: Any, refused: Callable) -> None:
    refused(place.describe(place.write("text.mp4", "hello " * 99)), "text.mp4")


def test_half_a_video(place: Any, refused: Callable) -> None:
    refused(place.describe(place.write("cut.mp4", place.video()[: len(place.video()) // 2])), "cut.mp4")


def test_the_first_bytes_of_a_video(place: Any, refused: Callable) -> None:
    refused(place.describe(place.write("cut.mp4", place.video()[:64])), "cut.mp4")


def test_empty_file(place: Any, refused: Callable) -> None:
    refused(place.describe(place.write("empty.mp4")), "empty.mp4")


def test_folder_without_media(place: Any, refused: Callable) -> None:
    place.write("folder/readme.md", "no clip")
    refused(place.describe("folder"), "folder", "no media file")


def test_empty_folder(place: Any, refused: Callable) -> None:
    refused(place.describe(place.folder()), "folder", "no media file")


def test_subtitle_that_is_no_subtitle(place: Any, refused: Callable) -> None:
    place.write("clip.srt", b"x" * (1 << 21))
    refused(place.describe(place.good_clip()), "clip.srt", "too large")


def test_no_such_model(place: Any, refused: Callable) -> None:
    refused(["describe", place.good_clip(), "--model", "nomodel"], "nomodel", "not a saved model")


def test_folder_that_is_no_model(place: Any, refused: Callable) -> None:
    refused(
        ["describe", place.good_clip(), "--model", place.folder()], "folder", "not a saved model", "no pipeline.yaml"
    )


def test_model_of_another_config(place: Any, refused: Callable) -> None:
    other = {"plugin": "concat", "inputs": ["face", "audio"]}
    arguments = place.saved(lambda config: config["fusers"].update(multi=other))
    refused(arguments, "model.safetensors", "fusers.multi.gates", "another config")


def test_a_question_longer_than_the_context(place: Any, refused: Callable) -> None:
    # The clip cannot be read either, which is not found out: nothing is opened for such a question.
    refused([*place.describe(place.write("text.mp4", "no clip")), "--question", "why " * 9000], "question", "at most")


def test_model_that_wants_to_run_code(place: Any, refused: Callable) -> None:
    refused(place.saved(lambda config: config.update(plugins=["./evil.py"])), "evil.py", "--plugin")
