"""`affectgpt plugins verify`: the promises of a plugin from the shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from affectgpt.cli.main import main
from affectgpt.testing.fuser_checks import CHECKS

BROKEN = Path(__file__).resolve().parents[1] / "testing" / "broken_fusers.py"


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    torch.set_num_threads(1)
    monkeypatch.setattr(sys, "argv", ["affectgpt", "plugins", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return (int(end.value.code or 0), *capsys.readouterr())


def test_a_good_plugin_passes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(capsys, monkeypatch, "modality-attention", "--set", "dim=8")
    assert code == 0, out + err
    assert "16 of 16 checks passed" in out and "FAILED" not in out
    assert all(f"ok      {check} " in out for check in CHECKS if check != "compiled")


def test_a_broken_promise_is_named_and_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "absent-input", "--plugin", BROKEN)
    assert code == 1 and "Traceback" not in out + err
    assert "FAILED  absent-input" in out and "not finite for a clip that lacks an input" in out
    assert "15 of 16 checks passed" in out


def test_an_extractor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = BROKEN.with_name("broken_extractors.py")
    code, out, err = run(capsys, monkeypatch, "good-words", "--plugin", file)
    assert code == 0 and "extractor good-words: 9 of 9 checks passed\n" in out, out + err
    code, out, err = run(capsys, monkeypatch, "blank-text", "--plugin", file)
    assert code == 1 and "FAILED  blank-text" in out and "8 of 9 checks passed" in out and not err


def test_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "more-padding", "--plugin", BROKEN, "--json")
    rows = json.loads(out)
    assert code == 1 and [row["check"] for row in rows] == [check for check in CHECKS if check != "compiled"]
    assert [row["check"] for row in rows if row["failure"]] == ["more-padding"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["meen"], "did you mean 'mean'"),
        (["mean", "--set", "width=3"], "width: Extra inputs are not permitted"),
        (["mean", "--set", "width"], "expected: KEY=VALUE"),
        (["cross-attention", "--set", "dim=7", "--set", "heads=2"], "the heads do not fit the width"),
        (["speech"], "pass them as options"),
        (["llm"], "give either `llm`"),
    ],
)
def test_what_cannot_be_checked_exits_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, monkeypatch, *arguments)
    assert code == 2 and message in err and not out, out + err
