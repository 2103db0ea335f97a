"""The examples of the page of Python functions run as they are written, and have the types that they seem to have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_run_in_order_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "examples" / "clips" / "astronaut_voice.mp4", tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    # The classes of the examples are found by the name of their module.
    module = ModuleType("examples_of_the_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"{PAGE.name}, block {number + 1}", "exec"), vars(module))
    values = vars(module)
    printed = capsys.readouterr()
    assert values["raw"].text == values["one"].text and len(values["many"]) == 2
    assert values["problems"][0].hint == "did you mean 'concat'?"
    assert len(values["result"].losses) == 3 and (tmp_path / "model" / "model.safetensors").is_file()
    assert 0 < float(values["score"]) <= 1
    assert "concat" in str(values["table"]) and "gated" in str(values["table"])
    assert "True" in printed.out


@pytest.mark.slow
def test_the_examples_pass_strict_type_checking(tmp_path: Path) -> None:
    code = "\n".join(BLOCKS)
    # A class of plain functions: its author does not write types in an example.
    code = re.sub(r"^    def (\w+\(.*\)):$", r"    def \1:  # type: ignore[no-untyped-def]", code, flags=re.MULTILINE)
    (tmp_path / "examples.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports"]
    result = subprocess.run(
        [*command, "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(tmp_path / "examples.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_page_has_its_examples() -> None:
    # A page without blocks would pass the tests above.
    assert len(BLOCKS) >= 8 and "ag.compare(" in BLOCKS[-1]
