from __future__ import annotations

import sys

import pytest

from affectgpt.workers.progress import progress_callback


def test_a_bar_is_on_standard_error_only(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_callback(True) as report:
        report("reading", 1, 2)
        report("reading", 2, 2)
        report("writing", 1, None)
    captured = capsys.readouterr()
    assert captured.out == "" and "reading: 100%" in captured.err and "writing: 1it" in captured.err


def test_without_a_terminal_or_notebook_nothing_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    for progress in (None, False):
        with progress_callback(progress) as report:
            report("reading", 1, 2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_callable_receives_the_counts() -> None:
    counts: list[tuple[str, int, int | None]] = []
    with progress_callback(lambda *event: counts.append(event)) as report:
        report("reading", 1, 2)
    assert counts == [("reading", 1, 2)]
