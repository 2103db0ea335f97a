"""Scripts that start worker processes without `if __name__ == "__main__":`, found before a worker starts.

A worker that is spawned imports the script of its parent. Without the guard it would run the whole script again, up to
the call that starts workers, which fails there: one traceback per worker, and the work before the call done again.
"""

from __future__ import annotations

import ast
import multiprocessing
import sys
from pathlib import Path
from types import CodeType, FrameType

from affectgpt.registry.errors import ConfigError

_HINT = 'put the calls of the script under `if __name__ == "__main__":`, or pass workers=0'


def check_main_guard(start_method: str = "spawn") -> None:
    """Raise ConfigError when the running script has no guard around the call that is about to start workers.

    Forked workers import nothing and need none. In a worker that imports such a script it raises SystemExit, so that
    the worker ends without a traceback.
    """
    if start_method == "fork":
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # This process is itself a worker, at the import of its parent's script.
        raise SystemExit(1)
    frame = _frame_of_script()
    if frame is None:
        return
    path = Path(frame.f_code.co_filename)
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    if not _is_guarded(tree, frame.f_lineno):
        raise ConfigError(
            "a script that starts worker processes needs a main guard",
            where="workers",
            found=f'{path}:{frame.f_lineno}, not under `if __name__ == "__main__":`',
            hint=_HINT,
        )


def _frame_of_script() -> FrameType | None:
    """The frame of the script's own lines; None in a notebook, in `python -c`, and outside the main thread."""
    main = sys.modules.get("__main__")
    if main is None or getattr(main, "__file__", None) is None:
        return None
    # `python -m package`: a spawned worker does not import the `__main__.py` of a package.
    if getattr(main.__spec__, "name", "").endswith(".__main__"):
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is vars(main) and _is_module(frame.f_code):
            return frame
        frame = frame.f_back
    return None


def _is_module(code: CodeType) -> bool:
    return code.co_name == "<module>"


def _is_guarded(tree: ast.Module, line: int) -> bool:
    return any(
        isinstance(node, ast.If)
        and node.lineno <= line <= (node.end_lineno or line)
        and "__name__" in _names(node.test)
        for node in ast.walk(tree)
    )


def _names(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
