"""`affectgpt new`: the package it writes installs, is found, fits a pipeline and passes its own tests untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectgpt.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SWAPS = {
    "fuser": "fusers.multi={plugin: warm-glow, inputs: [face, audio]}",
    "encoder": "encoders.audio={plugin: warm-glow}",
    "llm": "llm={plugin: warm-glow}",
    "extractor": None,
}


def new(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["affectgpt", "new", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return (int(end.value.code or 0), *capsys.readouterr())


@pytest.mark.slow
@pytest.mark.parametrize("kind", SWAPS)
def test_the_package_passes_its_own_tests_untouched(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hatchling")
    code, out, err = new(capsys, monkeypatch, kind, "warm-glow", "--into", tmp_path)
    assert code == 0, err
    package, site = tmp_path / "affectgpt-plugin-warm-glow", tmp_path / "site"
    assert str(package) in out
    assert {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()} == {
        "pyproject.toml",
        "README.md",
        ".github/workflows/test.yml",
        "affectgpt_warm_glow/__init__.py",
        "affectgpt_warm_glow/config.py",
        "affectgpt_warm_glow/module.py",
        "tests/test_warm_glow.py",
    }
    install = ["pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, "-m", *install, str(package)], check=True, timeout=300)

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "OMP_NUM_THREADS": "1"}

    def run(*command: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", *command], cwd=package, env=environment, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr
        return result.stdout

    listed = json.loads(run("affectgpt.cli.main", "plugins", "--json"))
    assert [each["from"] for each in listed["plugins"] if each["name"] == "warm-glow"] == ["affectgpt-plugin-warm-glow"]
    assert not listed["broken"] and not listed["deferred"]
    swap = SWAPS[kind]
    if swap is not None:
        run("affectgpt.cli.main", "check", str(ROOT / "configs" / "tiny.yaml"), "--set", swap)
    assert "passed" in run("pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider")
    run("ruff", "check", "--isolated", "--line-length", "120", ".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fusser", "mine"], "did you mean 'fuser'"),
        (["fuser", "Mine"], "lower-case words"),
        (["fuser", "../mine"], "lower-case words"),
        (["fuser", "m" * 41], "at most 40 characters"),
        (["fuser", "mean"], "there is a fuser of this name"),
        (["fuser", "mine", "--into", "nowhere"], "there is no such folder"),
        (["fuser", "taken"], "the package exists"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "affectgpt-plugin-taken").mkdir()
    code, out, err = new(capsys, monkeypatch, *arguments)
    assert code == 2 and message in err and not out, out + err
    assert [path.name for path in tmp_path.rglob("*")] == ["affectgpt-plugin-taken"]
