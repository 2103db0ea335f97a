"""`affectgpt describe`: folders, batches, subtitles, questions, and one bad file among good ones."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectgpt.cli.main import main
from affectgpt.cli.printable import printable


def rows(outcome: Any) -> dict[str, dict[str, Any]]:
    """Rows of `--json` by file name."""
    return {Path(row["file"]).name: row for row in json.loads(outcome.out)}


@pytest.fixture
def folder(videos: list[Path], tmp_path: Path) -> Path:
    """Three clips and a file that is no media."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for video in videos[:3]:
        shutil.copy(video, inside)
    (inside / "notes.md").write_text("not a clip")
    return inside


def test_a_folder_is_described_file_by_file_in_order(run: Callable, model: Path, folder: Path) -> None:
    outcome = run("describe", folder, "--model", model, "--json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)
    assert [row["file"] for row in rows] == [str(path) for path in sorted(folder.glob("*.mp4"))]
    for row in rows:
        assert row["text"] and not row["error"] and row["subtitle"] == "" and row["seconds"] >= 0
        assert set(row["counted"]) == {"face", "audio", "subtitle"} and row["counted"]["subtitle"] is None
        assert row["counted"]["face"] + row["counted"]["audio"] == pytest.approx(1) or not any(row["counted"].values())
        assert sum(row["fusion"]["multi"].values()) == pytest.approx(1)


def test_the_text_does_not_depend_on_the_batch(run: Callable, model: Path, folder: Path) -> None:
    # Words beside one clip make its prompt longer than the others, which are then padded.
    sorted(folder.glob("*.mp4"))[1].with_suffix(".txt").write_text("I told you so, and now look at it")
    single, together = (
        rows(run("describe", folder, "--model", model, "--json", "--batch-size", size)) for size in (1, 8)
    )
    assert {name: row["text"] for name, row in single.items()} == {name: row["text"] for name, row in together.items()}
    assert len({row["text"] for row in single.values()}) > 1
    for name, row in single.items():
        assert row["counted"] == pytest.approx(together[name]["counted"], abs=1e-3)


def test_a_subtitle_and_a_question_reach_the_model(run: Callable, model: Path, videos: list[Path]) -> None:
    def text(*options: str) -> dict[str, Any]:
        (row,) = rows(run("describe", videos[0], "--model", model, "--json", *options)).values()
        return row

    plain, spoken, questioned = (
        text(),
        text("--subtitle", "leave me alone"),
        text("--question", "Who is it, and where?"),
    )
    assert spoken["subtitle"] == "leave me alone" and spoken["counted"]["subtitle"] is not None
    assert spoken["text"] != plain["text"] and questioned["text"] != plain["text"]


def test_a_name_that_is_no_text_and_one_that_is_markup(run: Callable, model: Path, folder: Path) -> None:
    first, second, third = sorted(folder.glob("*.mp4"))
    first.rename(folder / os.fsdecode(b"a\xff.mp4"))
    second.rename(folder / "b[bold]c[ bold].mp4")
    third.unlink()
    outcome, listed = run("describe", folder, "--model", model), run("describe", folder, "--model", model, "--json")
    assert outcome.code == listed.code == 0, outcome.err + listed.err
    assert r"a\udcff.mp4" in outcome.out and "b[bold]c[ bold].mp4" in outcome.out
    assert json.loads(listed.out)[0]["file"] == str(folder / os.fsdecode(b"a\xff.mp4"))


def test_a_subtitle_beside_the_file_is_read(run: Callable, model: Path, folder: Path) -> None:
    first = sorted(folder.glob("*.mp4"))[0]
    first.with_suffix(".txt").write_text("I told you so")
    from_file = rows(run("describe", first, "--model", model, "--json"))[first.name]
    arguments = rows(run("describe", first, "--model", model, "--json", "--subtitle", "I told you so"))[first.name]
    assert from_file["subtitle"] == "I told you so" and from_file["text"] == arguments["text"]
    assert any(first.with_suffix(".txt").name in note for note in from_file["notes"])


def test_one_broken_file_leaves_the_others_described(
    run: Callable, model: Path, videos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    arguments = (videos[0], broken, videos[1], "--model", model, "--batch-size", 2)
    outcome = run("describe", *arguments)
    assert outcome.code == 2 and outcome.errors == 1 and "Traceback" not in outcome.out + outcome.err
    assert videos[0].name in outcome.out and videos[1].name in outcome.out
    assert str(broken) in outcome.err and broken.name not in outcome.out
    listed = run("describe", *arguments, "--json")
    rows = json.loads(listed.out)
    assert listed.code == 2 and [bool(row["error"]) for row in rows] == [False, True, False]
    assert rows[1]["text"] == "" and str(broken) in rows[1]["error"]


@pytest.mark.parametrize("kind", ["dangling", "looping", "pipe"])
def test_what_cannot_be_opened_in_a_folder_is_an_error_row(
    run: Callable, model: Path, videos: list[Path], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    shutil.copy(videos[0], tmp_path / "b.mp4")
    if kind == "pipe":
        os.mkfifo(tmp_path / "a.mp4")
    else:
        (tmp_path / "a.mp4").symlink_to("a.mp4" if kind == "looping" else "nowhere.mp4")
    outcome = run("describe", tmp_path, "--model", model, "--json")
    rows = json.loads(outcome.out)
    assert outcome.code == 2 and [Path(row["file"]).name for row in rows] == ["a.mp4", "b.mp4"], outcome.err
    assert str(tmp_path / "a.mp4") in rows[0]["error"] and not rows[1]["error"]


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["at once", "streamed"])
def test_json_stays_json_where_output_is_not_utf_8(
    model: Path, videos: list[Path], tmp_path: Path, stream: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = shutil.copy(videos[0], tmp_path / "它.mp4")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="cp1252"))
    monkeypatch.setattr(sys, "argv", ["affectgpt", "describe", str(clip), "--model", str(model), "--json", *stream])
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdout.flush()
    assert end.value.code == 0
    rows = [json.loads(line) for line in printed.getvalue().splitlines()] if stream else json.loads(printed.getvalue())
    assert {row["file"] for row in rows} == {str(clip)}


def test_what_a_person_reads(run: Callable, model: Path, videos: list[Path]) -> None:
    command = ("describe", videos[0], "--model", model, "--subtitle", "well done")
    outcome, listed = run(*command), run(*command, "--json")
    text = rows(listed)[videos[0].name]["text"]
    assert outcome.code == 0 and videos[0].name in outcome.out
    assert "".join(printable(text).split()) in "".join(outcome.out.split())
    assert "counted: face" in outcome.out and "multi weighs: face" in outcome.out and "%" in outcome.out
    assert "describing" in outcome.err and "describing" not in outcome.out


def test_shares_can_be_left_out(run: Callable, model: Path, videos: list[Path]) -> None:
    command = ("describe", videos[0], "--model", model)
    measured, plain = (rows(run(*command, "--json", *more))[videos[0].name] for more in ((), ("--no-shares",)))
    assert plain["counted"] == {} and plain["text"] == measured["text"] and plain["notes"] == measured["notes"]
    outcome = run(*command, "--no-shares")
    assert outcome.code == 0 and "counted" not in outcome.out and "multi weighs: face" in outcome.out
