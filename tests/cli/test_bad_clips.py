"""Bad clips and models for `describe`: errors that say what and where, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_no_such_clip(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe("gone.mp4"), "gone.mp4", "no such file")


def test_text_called_mp4(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe(workspace.write("text.mp4", "hello " * 99)), "text.mp4")


def test_half_a_video(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe(workspace.write("cut.mp4", workspace.video()[: len(workspace.video()) // 2])), "cut.mp4")


def test_the_first_bytes_of_a_video(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe(workspace.write("cut.mp4", workspace.video()[:64])), "cut.mp4")


def test_empty_file(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe(workspace.write("empty.mp4")), "empty.mp4")


def test_a_sound_without_a_sample(workspace: Any, refused: Callable) -> None:
    header = (Path(__file__).parents[1] / "media" / "no_samples.wav").read_bytes()
    refused(workspace.describe(workspace.write("none.wav", header)), "none.wav", "nothing in this clip", "no picture")
    refused([*workspace.describe("none.wav"), "--subtitle", "Words."], "none.wav", "nothing in this clip")


def test_folder_without_media(workspace: Any, refused: Callable) -> None:
    workspace.write("folder/readme.md", "no clip")
    refused(workspace.describe("folder"), "folder", "no media file")


def test_empty_folder(workspace: Any, refused: Callable) -> None:
    refused(workspace.describe(workspace.folder()), "folder", "no media file")


def test_subtitle_that_is_no_subtitle(workspace: Any, refused: Callable) -> None:
    workspace.write("clip.srt", b"x" * (1 << 21))
    refused(workspace.describe(workspace.good_clip()), "clip.srt", "too large")


def test_no_such_model(workspace: Any, refused: Callable) -> None:
    refused(["describe", workspace.good_clip(), "--model", "nomodel"], "nomodel", "there is no such model")


def test_folder_that_is_no_model(workspace: Any, refused: Callable) -> None:
    refused(
        ["describe", workspace.good_clip(), "--model", workspace.folder()],
        "folder",
        "not a saved model",
        "no pipeline.yaml",
    )


def test_model_of_another_config(workspace: Any, refused: Callable) -> None:
    node = {"plugin": "concat", "inputs": ["face", "audio"]}
    arguments = workspace.saved(lambda config: config["fusers"].update(multi=node))
    refused(arguments, "model.safetensors", "fusers.multi.gates", "another config")


def test_a_question_longer_than_the_context(workspace: Any, refused: Callable) -> None:
    # The clip cannot be read either, which is not found out: nothing is opened for such a question.
    refused(
        [*workspace.describe(workspace.write("text.mp4", "no clip")), "--question", "why " * 9000],
        "question",
        "at most",
    )


def test_model_that_wants_to_run_code(workspace: Any, refused: Callable) -> None:
    refused(workspace.saved(lambda config: config.update(plugins=["./evil.py"])), "evil.py", "--plugin")
