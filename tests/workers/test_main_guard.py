"""A script that starts workers without a main guard ends at once with one error; everything else starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CALL = """\
print("working")
synthetic.write_clips(Path("clips"), clips=2, seed=0, workers=WORKERS)
"""
HEAD = """\
from pathlib import Path
from affectgpt.synthetic import clips as synthetic

"""
IN_FUNCTION = f"def main():\n    {CALL.strip().replace(chr(10), chr(10) + '    ')}\n"
GUARD = 'if __name__ == "__main__":\n    '


def run_script(folder: Path, text: str, workers: int) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text.replace("WORKERS", str(workers)))
    return subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("text", [HEAD + CALL, f"{HEAD}{IN_FUNCTION}\nmain()\n"])
def test_a_script_without_a_guard_is_one_error_at_once(tmp_path: Path, text: str) -> None:
    outcome = run_script(tmp_path, text, workers=2)
    assert outcome.returncode == 1 and outcome.stdout == "working\n"
    assert outcome.stderr.count("Traceback") == 1
    assert "needs a main guard" in outcome.stderr and "script.py:" in outcome.stderr, outcome.stderr
    assert not (tmp_path / "clips").exists()


def test_without_workers_no_guard_is_needed(tmp_path: Path) -> None:
    outcome = run_script(tmp_path, HEAD + CALL, workers=0)
    assert outcome.returncode == 0, outcome.stderr
    assert len(list((tmp_path / "clips" / "video").iterdir())) == 2


@pytest.mark.slow
def test_a_guarded_script_starts_workers(tmp_path: Path) -> None:
    outcome = run_script(tmp_path, f"{HEAD}{IN_FUNCTION}\n{GUARD}main()\n", workers=2)
    assert outcome.returncode == 0 and outcome.stdout == "working\n", outcome.stderr


def test_a_worker_that_imports_an_unguarded_script_ends_quietly(tmp_path: Path) -> None:
    """Its condition is true in a worker too, which reading the script does not show."""
    outcome = run_script(tmp_path, f"{HEAD}{IN_FUNCTION}\nif __name__:\n    main()\n", workers=2)
    assert outcome.returncode == 1 and "bootstrapping phase" not in outcome.stderr
    assert "a worker process ended" in outcome.stderr, outcome.stderr
