"""What a person sees in a terminal: results above the live display, whole."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios

import pytest

pty = pytest.importorskip("pty", reason="this system has no terminals of its own")
pyte = pytest.importorskip("pyte")

SCRIPT = """
from affectgpt.cli.describe import show
from affectgpt.cli.options import progress_bars
from affectgpt.core.description import Description
with progress_bars() as bars:
    for index in range(2):
        bars("describing", index, 2)
        show([Description(f"clip{index}.mp4", f"text {index}", notes=["first", f"last of {index}"])])
    bars("describing", 2, 2)
"""


def screen_of(script: str) -> list[str]:
    """The lines that are not blank of a terminal of 80 columns after `script` has run in it."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-c", script], {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    screen = pyte.Screen(80, 40)
    stream = pyte.ByteStream(screen)
    try:
        while output := os.read(terminal, 65536):
            stream.feed(output)
    except OSError:
        # Linux ends the stream of a terminal so.
        pass
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0, screen.display
    return [line.rstrip() for line in screen.display if line.strip()]


def test_results_stand_whole_above_the_live_display() -> None:
    lines = screen_of(SCRIPT)
    results = [
        ["clip0.mp4  (0.0 s)", "  text 0", "  note: first", "  note: last of 0"],
        ["clip1.mp4  (0.0 s)", "  text 1", "  note: first", "  note: last of 1"],
    ]
    assert lines[:-1] == [*results[0], *results[1]]
    assert lines[-1].startswith("describing") and "2/2" in lines[-1]
